"""What is left of a destroyed stack: strays, images, and the volumes that Pulumi lets go of without deleting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operate.docker import images, strays
from operate.docker.containers import daemon_of, volumes_of
from operate.request import Request
from operate.stack import Stack

VOLUME = "docker:index/volume:Volume"


def take_away(request: Request, stack: Stack, protected: Sequence[Mapping[str, Any]], *, delete_data: bool) -> None:
    """Remove whatever of the stack its state did not know, and its images; volumes too, where the data is to go.

    Pulumi lets go of protected volumes without deleting them, also in a run that was cut off before this one.
    """
    daemon = daemon_of(request)
    for sentence in strays.sweep(strays.of_stack(stack.name, stack.known(), daemon), daemon):
        request.terminal.note(sentence)
    for name in images.remove(daemon, images.own(daemon, stack.name)):
        request.terminal.note(f"removed the image {name}")
    left = volumes_of(daemon, stack.name)
    if delete_data:
        # One that was there before the stack was taken over as it is, without its labels.
        taken_over = [str(each["id"]) for each in protected if each.get("type") == VOLUME and each.get("id")]
        for name in sorted({*left, *taken_over}):
            daemon.delete(f"/volumes/{name}", timeout=60)
            request.terminal.note(f"deleted the volume {name}")
    elif left:
        request.terminal.note(f"kept the volumes {', '.join(left)}; docker volume rm {' '.join(left)} deletes them")
