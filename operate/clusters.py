"""Which cluster of this machine is meant: this user's own, or the one that the tests share."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.shape import Shape, shape_of, shape_of_tests
from operate import test
from operate.request import Request
from setup.facts import requirements_for
from setup.places import Places
from setup.problem import Problem


@dataclass(frozen=True)
class Meant:
    """A cluster, where its programs and data are, the packages that its keeper needs, and the verb that uses it."""

    shape: Shape
    places: Places
    requirements: str
    use: str


def meant(request: Request) -> Meant:
    """Return this user's cluster, or with the argument `tests` the tests'; raise Problem for any other word."""
    tests = shape_of_tests()
    if list(request.arguments) == [tests.name]:
        return Meant(tests, test.own_places(request), test.REQUIREMENTS, "make test")
    if request.arguments:
        raise Problem(
            f"{request.verb} was given {' '.join(request.arguments)!r}; it takes nothing, or {tests.name!r}.",
            f"make {request.verb}, or for the cluster that the tests share: make {request.verb} ARGS={tests.name}",
        )
    packages = requirements_for("kubernetes", request.places)
    return Meant(shape_of(request.environment), request.places, packages, "make up STACK=k8s")
