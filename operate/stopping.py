"""The order in which a stack's workloads stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

# Web first, behind the gateway's page; the database when nobody uses it any more.
ORDER = ("web", "", "gateway", "database")

Thing = TypeVar("Thing")


def groups(things: Sequence[Thing], service_of: Callable[[Thing], str]) -> list[list[Thing]]:
    """Return what can stop together in groups, in the order in which the groups should."""
    ordered: list[list[Thing]] = [[] for _ in ORDER]
    for thing in things:
        service = service_of(thing)
        ordered[ORDER.index(service if service in ORDER else "")].append(thing)
    return [group for group in ordered if group]
