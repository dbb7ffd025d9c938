"""Kubernetes as the verbs see it; everything that needs installed packages is imported once they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operate.flag import Flag, Order
from operate.kubernetes import local
from operate.kubernetes.local import handed, ready
from operate.request import Request, packages
from operate.stack import Stack
from setup import virtualenv
from setup.facts import Facts
from setup.problem import Problem

__all__ = [
    "beforehand", "command", "delete_volume", "down", "handed", "ledger", "logs", "maintenance", "mend", "migrate",
    "obstacles", "ready", "settle", "status", "take_away",
]  # fmt: skip


def beforehand(request: Request, facts: Facts) -> list[Problem] | None:
    """Return what stands in the way, or None where the cluster or the client of it is not there yet."""
    if local.is_meant(request) and local.running_for(request) is None:
        return local.obstacles(request) or None
    return obstacles(request) if facts.packages.complete else None


def obstacles(request: Request) -> list[Problem]:
    """Return what stands in the way on the cluster."""
    virtualenv.enter(request.places)
    from operate.kubernetes.obstacles import of_stack as seen

    return seen(request)


def mend(request: Request, stack: Stack) -> None:
    """Set going again what was stopped in a way that an update does not see."""
    virtualenv.enter(request.places)
    from operate.kubernetes.halted import mend as set_going

    set_going(request, stack)


def settle(request: Request, stack: Stack) -> None:
    """Take away, after an update, what a killed run left and the update did not take up."""
    virtualenv.enter(request.places)
    from operate.kubernetes.strays import settle as sweep

    sweep(request, stack)


def take_away(request: Request, stack: Stack, protected: Sequence[Mapping[str, Any]], *, delete_data: bool) -> None:
    """Remove strays, and claims and namespace where the data is to go."""
    virtualenv.enter(request.places)
    from operate.kubernetes.remains import take_away as remove

    remove(request, stack, protected, delete_data=delete_data)


def status(request: Request) -> int:
    """Print workloads, pods that are unwell, and claims."""
    packages(request)
    from operate.kubernetes.status import run as look

    return look(request)


def logs(request: Request) -> int:
    """Print what the pods say."""
    packages(request)
    from operate.kubernetes.logs import run as read

    return read(request)


def down(request: Request) -> int:
    """Scale the workloads to nothing."""
    packages(request)
    from operate.kubernetes.down import run as stop

    return stop(request)


def ledger(request: Request) -> tuple[list[str], bool]:
    """Have a job read the ledger."""
    packages(request)
    from operate.kubernetes.ledger import run as read

    return read(request)


def command(request: Request, words: Sequence[str], service: str) -> int:
    """Run a command in one of a service's pods."""
    packages(request)
    from operate.kubernetes.command import run as start

    return start(request, words, service)


def delete_volume(request: Request, name: str) -> None:
    """Delete a claim that the state does not know any more."""
    packages(request)
    from operate.kubernetes.volume import delete

    delete(request, name)


def maintenance(request: Request, order: Order) -> Flag | None:
    """Tell the ConfigMap, and wait for the gateways."""
    packages(request)
    from operate.kubernetes.maintenance import run as turn

    return turn(request, order)


def migrate(request: Request) -> int:
    """Run the migration's job once more."""
    packages(request)
    from operate.kubernetes.migrate import run as start

    return start(request)
