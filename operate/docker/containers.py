"""A stack's containers on the Docker daemon, for the verbs that look at them or stop them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from operate.request import Request
from setup import daemon, state
from setup.daemon import Daemon
from setup.problem import Problem
from setup.state import container_name


@dataclass(frozen=True)
class Container:
    """One container: what it is for, and how it is doing in Docker's own words."""

    identifier: str
    name: str
    service: str
    release: str
    running: bool
    status: str
    ports: tuple[str, ...]


def daemon_of(request: Request) -> Daemon:
    """Return the daemon that the stack runs on."""
    return Daemon(daemon.endpoint_from(request.docker_environment()))


def reachable(request: Request) -> Daemon:
    """Return the daemon that the stack runs on; raise Problem where it does not answer."""
    client = daemon_of(request)
    endpoint = client.endpoint
    how = daemon.connectable(endpoint)
    if how != "running":
        raise Problem(
            f"The Docker daemon at {endpoint} "
            + ("may not be used by this user." if how == "forbidden" else "does not answer."),
            "make up prepares it, or says what it wants",
        )
    return client


def of_stack(client: Daemon, stack: str) -> list[Container]:
    """Return the stack's containers, stopped ones and jobs too, in the order of their names."""
    found = [
        Container(
            identifier=row["Id"],
            name=container_name(row),
            service=(row.get("Labels") or {}).get("scaffold.service", ""),
            release=(row.get("Labels") or {}).get("scaffold.release", ""),
            running=row.get("State") in ("running", "paused", "restarting"),
            status=str(row.get("Status", "")),
            ports=tuple(
                f"{port.get('IP', '')}:{port['PublicPort']}" for port in row.get("Ports") or [] if "PublicPort" in port
            ),
        )
        for row in client.labelled("containers", state.labels(stack))
    ]
    return sorted(found, key=lambda container: container.name)


def none_found(stack: str) -> Problem:
    """Return what to say where the stack has no containers."""
    return Problem(f"There are no containers of the stack {stack} here.", f"make up STACK={stack} starts it")


def volumes_of(client: Daemon, stack: str) -> Sequence[str]:
    """Return the names of the stack's volumes."""
    return sorted(str(row["Name"]) for row in client.labelled("volumes", state.labels(stack)))
