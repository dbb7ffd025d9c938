"""Docker as the verbs see it."""

from __future__ import annotations

from operate.docker.command import run as command
from operate.docker.down import run as down
from operate.docker.images import prune
from operate.docker.ledger import run as ledger
from operate.docker.logs import run as logs
from operate.docker.maintenance import run as maintenance
from operate.docker.migrate import run as migrate
from operate.docker.obstacles import of_stack as obstacles
from operate.docker.remains import take_away
from operate.docker.status import run as status
from operate.docker.strays import mend
from operate.docker.volume import delete as delete_volume
from operate.request import Request
from operate.stack import Stack
from setup.facts import Facts
from setup.prepare import Prepared
from setup.problem import Problem

__all__ = [
    "beforehand", "command", "delete_volume", "down", "handed", "ledger", "logs", "maintenance", "mend", "migrate",
    "obstacles", "ready", "settle", "status", "take_away",
]  # fmt: skip


def beforehand(request: Request, facts: Facts) -> list[Problem] | None:
    """Return what stands in the way, or None where the daemon does not answer yet."""
    return obstacles(request) if facts.docker.state == "running" else None


def handed(_request: Request, done: Prepared) -> Prepared:
    """Return what is prepared as it is: the daemon's address is in it."""
    return done


def ready(_request: Request, done: Prepared) -> Prepared:
    """Return what is prepared as it is: the daemon runs."""
    return done


def settle(request: Request, stack: Stack) -> None:
    """Remove the images of releases that are not kept any more; whatever a killed run left was in the way."""
    prune(request, stack)
