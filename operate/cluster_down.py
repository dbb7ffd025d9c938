"""`make cluster-down`: ends the cluster of this machine; its data goes only when told so in words."""

from __future__ import annotations

from cluster.shape import shape_of, shape_of_tests
from cluster.stop import stop
from operate.request import Request
from operate.test import own_places
from setup.problem import Problem


def run(request: Request) -> int:
    """End the cluster, or with the argument `tests` the one that the tests share, and leave the machine as it was."""
    tests = shape_of_tests()
    if list(request.arguments) not in ([], [tests.name]):
        raise Problem(
            f"cluster-down was given {' '.join(request.arguments)!r}; it takes nothing, or {tests.name!r}.",
            f"make cluster-down, or for the cluster that the tests share: make cluster-down ARGS={tests.name}",
        )
    shape, places = (
        (tests, own_places(request)) if request.arguments else (shape_of(request.environment), request.places)
    )
    delete_data = request.says_yes("DELETE_DATA")
    ended = stop(shape, places, request.environment, request.terminal, delete_data=delete_data)
    if not ended:
        request.terminal.say("No cluster runs here.")
    elif not delete_data:
        request.terminal.say("Its data stays: a start goes on with it, and DELETE_DATA=yes deletes it.")
    return 0
