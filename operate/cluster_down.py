"""`make cluster-down`: ends the cluster of this machine; its data goes only when told so in words."""

from __future__ import annotations

from cluster.shape import shape_of
from cluster.stop import stop
from operate.request import Request


def run(request: Request) -> int:
    """End the cluster and leave the machine as it was before."""
    delete_data = request.says_yes("DELETE_DATA")
    shape = shape_of(request.environment)
    ended = stop(shape, request.places, request.environment, request.terminal, delete_data=delete_data)
    if not ended:
        request.terminal.say("No cluster runs here.")
    elif not delete_data:
        request.terminal.say(
            "Its data stays: make cluster-up goes on with it, make cluster-down DELETE_DATA=yes ends it."
        )
    return 0
