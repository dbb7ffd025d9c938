"""The stack's containers and volumes, and how they are doing."""

from __future__ import annotations

from collections.abc import Sequence

from operate.about import about_state
from operate.docker.containers import Container, of_stack, reachable, volumes_of
from operate.request import Request
from operate.table import columns


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
    return 0 if containers and all(is_well(container) for container in containers) else 1


def table(containers: Sequence[Container]) -> list[str]:
    """Return a line for each container, in columns."""
    rows = [
        (container.service or "-", container.name, container.status, ", ".join(container.ports))
        for container in containers
    ]
    return columns(rows)


def is_well(container: Container) -> bool:
    """Return whether a container is as it should be: healthy, or a job that ended well."""
    if container.running:
        return "unhealthy" not in container.status and not container.status.startswith("Restarting")
    return container.status.startswith("Exited (0)")
