"""`make cluster-down`: ends the cluster of this machine; its data goes only when told so in words."""

from __future__ import annotations

from cluster.stop import stop
from operate import clusters
from operate.request import Request


def run(request: Request) -> int:
    """End the cluster, this user's or with `tests` the tests', and leave the machine as it was."""
    meant = clusters.meant(request)
    delete_data = request.says_yes("DELETE_DATA")
    ended = stop(meant.shape, meant.places, request.environment, request.terminal, delete_data=delete_data)
    if not ended:
        request.terminal.say("No cluster runs here.")
    elif not delete_data:
        request.terminal.say("Its data stays: a start goes on with it, and DELETE_DATA=yes deletes it.")
    return 0
