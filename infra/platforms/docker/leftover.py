"""What is in the way of the stack's containers, a killed run's or somebody else's: named before anything is changed."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import pulumi

from infra.model import System
from infra.platforms.docker import daemon
from infra.platforms.docker.daemon import Publisher

EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def taken_port(host: str, system: System, gateway: Mapping[str, Any] | None) -> str:
    """Say who has the port, where that is somebody else: the gateway would be gone before Docker says so.

    Nobody is asked while the present `gateway`, as the daemon tells of it, has the port itself. A preview says nothing:
    it may be made on another machine than the one that the stack runs on.
    """
    published = system.service(system.route.gateway).published
    if published is None or pulumi.runtime.is_dry_run() or has(gateway, published.port):
        return ""
    address, port = published.address, published.port
    taken = taken_by(address, daemon.publishers(host, port))
    if not taken and daemon.is_here(host) and daemon.listened_on(address, port):
        taken = "a process of this machine (`ss -ltnp` names it)"
    if not taken:
        return ""
    return (
        f"gatewayPort: port {port} on {address} is taken by {taken}; nothing was changed. "
        "Stop that, or use another: pulumi config set gatewayPort 8010 (and siteUrl to match)"
    )


def has(container: Mapping[str, Any] | None, port: int) -> bool:
    """Return whether a container runs and publishes a port of the machine."""
    if container is None or not container["State"]["Running"]:
        return False
    bindings = (container["HostConfig"].get("PortBindings") or {}).values()
    return any(each["HostPort"] == str(port) for binding in bindings for each in binding or ())


def taken_by(address: str, publishing: Sequence[Publisher]) -> str:
    """Return which container publishes the port on the address, or on every one; nothing where none does."""
    for each in publishing:
        if address in EVERY_ADDRESS or EVERY_ADDRESS.intersection(each.addresses) or address in each.addresses:
            return f"the container {each.name}"
    return ""


def refusal(host: str, present: Container[str]) -> pulumi.ResourceHook:
    """Return the hook that refuses to create a container whose name is taken, one of those that were `present`."""

    def refuse(arguments: pulumi.ResourceHookArgs) -> None:
        name = (arguments.new_inputs or {}).get("name")
        if isinstance(name, str) and (found := in_the_way(host, present, name)):
            raise pulumi.RunError(found)

    return pulumi.ResourceHook("refuse-a-container-that-the-state-does-not-know", refuse)


def in_the_way(host: str, present: Container[str], name: str) -> str:
    """Say which container has a name; nothing where none has it.

    The daemon is asked only about what was `present` as the update began: it may be what this very update has replaced.
    """
    stack = daemon.labels_of(host, name) if name in present else None
    return "" if stack is None else message(name, stack)


def message(name: str, stack: str) -> str:
    """Say which container is in the way, whose it is, and how to go on."""
    if stack:
        return (
            f"container {name} of stack {stack} exists, but the stack's state does not know it: a killed run left it. "
            f"`make up` removes it and goes on; by hand: docker rm -f {name}, then pulumi up"
        )
    return f"container {name} exists and belongs to no stack; rename or remove it (docker rm -f {name}), then pulumi up"
