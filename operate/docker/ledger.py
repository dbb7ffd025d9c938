"""The ledger of releases, told by the app that serves."""

from __future__ import annotations

from operate.docker import inside
from operate.docker.containers import of_stack, reachable
from operate.request import Request

COMMAND = ("flask", "--app", "scaffold:create_app", "release", "list")


def run(request: Request) -> tuple[list[str], bool]:
    """Return the ledger's lines, or why nobody told them, and whether they were told."""
    client = reachable(request)
    for container in of_stack(client, request.stack):
        if container.service == "web" and container.running:
            code, said = inside.execute(client, container, COMMAND)
            return said.splitlines(), code == 0
    return [f"it is in the database, and no app runs that could tell it; make up STACK={request.stack}"], False
