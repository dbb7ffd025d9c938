"""Deleting a volume that the state does not know any more."""

from __future__ import annotations

from operate.docker.containers import reachable, volumes_of
from operate.request import Request
from setup.places import NAME


def delete(request: Request, volume: str) -> None:
    """Delete one of the stack's volumes; one that is gone is no problem."""
    client, name = reachable(request), f"{NAME}-{request.stack}-{volume}"
    if name in volumes_of(client, request.stack):
        client.delete(f"/volumes/{name}", timeout=60)
        request.terminal.note(f"deleted the volume {name}")
