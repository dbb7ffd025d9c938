"""A maintenance on Docker: the gateway's watcher is told, and keeps it in the gateway's volume."""

from __future__ import annotations

import json
from typing import Any

from operate.docker import inside
from operate.docker.containers import Container, of_stack, reachable
from operate.flag import Flag, Order, flag_from
from operate.request import Request
from setup.daemon import Daemon
from setup.problem import Problem

SERVICE = "gateway"
WATCHER = ("python3", "-m", "watcher")


def run(request: Request, order: Order) -> Flag | None:
    """Do what was ordered; return the maintenance that is on then, and raise Problem when nothing was changed."""
    client = reachable(request)
    gateway = running(of_stack(client, request.stack), request.stack)
    former = known(client, gateway, request.stack)
    if order.look or former == order.flag:
        return former
    name = "maintenance"
    with request.terminal.step(name, "told to the gateway") as step:
        given = json.dumps(order.flag.document()) if order.flag else "off"
        code, said = inside.execute(client, gateway, [*WATCHER, "maintenance", given])
        if code != 0:
            raise Problem(
                f"The gateway did not take the maintenance: {problem_in(said)}.",
                f"make status STACK={request.stack} and make logs SERVICE={SERVICE} tell more; nothing was changed",
            )
        step.outcome = "on at the gateway" if order.flag else "off at the gateway"
    return order.flag


def running(containers: list[Container], stack: str) -> Container:
    """Return the gateway's container; raise Problem where it does not run."""
    for container in containers:
        if container.service == SERVICE and container.running and not container.status.startswith("Restarting"):
            return container
    raise Problem(
        f"The gateway of the stack {stack} does not run; nothing was changed.", f"make up STACK={stack} starts it"
    )


def known(client: Daemon, gateway: Container, stack: str) -> Flag | None:
    """Return the maintenance that is on; raise Problem where the gateway does not tell."""
    code, said = inside.execute(client, gateway, [*WATCHER, "status"])
    try:
        status = json.loads(said) if code == 0 else {}
        on = status["maintenance"]
        return flag_from(on) if on else None
    except (ValueError, KeyError, TypeError):
        pass
    if code == 0:
        raise Problem(
            f"The gateway of the stack {stack} is of an earlier version and knows no maintenance on purpose.",
            f"make up STACK={stack} brings it up to date",
        )
    raise Problem(
        f"The gateway does not tell how it is: {problem_in(said)}.", f"make logs SERVICE={SERVICE} STACK={stack}"
    )


def problem_in(said: str) -> str:
    """Return the reason in what the watcher said: its last line's problem, or that line."""
    lines = [line for line in said.splitlines() if line.strip()] or ["it said nothing"]
    try:
        last: Any = json.loads(lines[-1])
        return str(last["problem"])
    except (ValueError, KeyError, TypeError):
        return lines[-1].strip()
