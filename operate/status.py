"""`make status`: what runs, how it is doing, and what the state knows."""

from __future__ import annotations

from collections.abc import Sequence

from operate import stack as stacks
from operate.containers import Container, of_stack, reachable, volumes_of
from operate.request import Request
from setup import state
from setup.locks import current_holder


def run(request: Request) -> int:
    """Print the stack's containers, volumes, state and locks; exit 1 when a service does not run or is unwell."""
    client = reachable(request)
    containers = of_stack(client, request.stack)
    say = request.terminal.say
    say(request.terminal.bold(f"stack {request.stack}"))
    for line in table(containers):
        say(f"  {line}")
    if not containers:
        say(f"  no containers; make up STACK={request.stack} starts them")
    volumes = volumes_of(client, request.stack)
    say(f"volumes  {', '.join(volumes) or 'none'}")
    for line in about_state(request):
        say(line)
    address = request.setting("siteUrl")
    if address:
        say(f"site     {address}")
    return 0 if containers and all(is_well(container) for container in containers) else 1


def table(containers: Sequence[Container]) -> list[str]:
    """Return a line for each container, in columns."""
    rows = [
        (container.service or "-", container.name, container.status, ", ".join(container.ports))
        for container in containers
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return [
        f"{'  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))}  {row[3]}".rstrip()
        for row in rows
    ]


def is_well(container: Container) -> bool:
    """Return whether a container is as it should be: healthy, or a job that ended well."""
    if container.running:
        return "unhealthy" not in container.status and not container.status.startswith("Restarting")
    return container.status.startswith("Exited (0)")


def about_state(request: Request) -> list[str]:
    """Return the lines about the state and who works on it."""
    environment = stacks.environment_for(request.places, request.environment)
    backend = environment["PULUMI_BACKEND_URL"]
    if not stacks.is_local(environment, request.places):
        return [f"state    {backend}"]
    known = state.read(request.places.backend, request.stack)
    lines = [
        f"state    {known.resources} resources in {backend}" if known.exists else f"state    none yet in {backend}"
    ]
    if known.pending:
        lines.append(f"         {known.pending} operations were cut off; make up STACK={request.stack} mends that")
    lines += [f"locked   by {held}" for held in state.locks_on(request.places.backend, request.stack)]
    holder = current_holder(request.places.state / "locks" / f"{request.stack}.lock")
    if holder:
        lines.append(f"working  {holder}")
    return lines
