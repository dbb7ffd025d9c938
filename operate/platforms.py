"""The platforms as the verbs see them: the same file names in a folder each, loaded only where a stack is on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from operate.flag import Flag, Order
from operate.request import Request, prepared
from operate.stack import Stack
from setup.facts import Facts
from setup.prepare import Prepared
from setup.problem import Problem


class Platform(Protocol):
    """What the verbs ask of the place where a stack runs."""

    def beforehand(self, request: Request, facts: Facts) -> list[Problem] | None:
        """Return what stands in the way of an update, or None where that is seen only once the machine is prepared."""

    def obstacles(self, request: Request) -> list[Problem]:
        """Return what stands in the way of an update there; nothing is changed."""

    def handed(self, request: Request, done: Prepared) -> Prepared:
        """Return what is prepared with the place's address in the environment of programs, where it is known."""

    def ready(self, request: Request, done: Prepared) -> Prepared:
        """Start the place itself where it is this project's own, and return what is prepared with its address."""

    def mend(self, request: Request, stack: Stack) -> None:
        """Take away what a killed run left there and would be in the way, and set going again what stands still."""

    def settle(self, request: Request, stack: Stack) -> None:
        """Take away, after an update that went well, what a killed run left and the update did not take up."""

    def take_away(
        self, request: Request, stack: Stack, protected: Sequence[Mapping[str, Any]], *, delete_data: bool
    ) -> None:
        """Remove whatever of a destroyed stack its state did not know; the data too, where it is to go."""

    def status(self, request: Request) -> int:
        """Print what runs and how it is, and return 1 when something is unwell."""

    def logs(self, request: Request) -> int:
        """Print what the stack's processes say."""

    def down(self, request: Request) -> int:
        """Stop everything in order, and keep the data."""

    def maintenance(self, request: Request, order: Order) -> Flag | None:
        """Turn a maintenance on or off at every gateway, or look; return the one that is on then."""

    def ledger(self, request: Request) -> tuple[list[str], bool]:
        """Return the ledger of releases, line by line, or why nobody told it; and whether it was told."""

    def command(self, request: Request, words: Sequence[str], service: str) -> int:
        """Run a command where a service runs, with this process's own input and output, and return its exit code."""

    def delete_volume(self, request: Request, name: str) -> None:
        """Delete one of the database's volumes that the state does not know any more."""

    def migrate(self, request: Request) -> int:
        """Run the migrations of the serving release once more, and return their exit code."""


def of(request: Request) -> Platform:
    """Return the platform that the request's stack runs on."""
    if request.platform == "kubernetes":
        from operate.kubernetes import platform as kubernetes

        return kubernetes
    from operate.docker import platform as docker

    return docker


def ready_for(request: Request) -> Prepared:
    """Make the machine ready for a verb that has Pulumi look at what runs; raise the first Problem in its way."""
    return of(request).ready(request, prepared(request))
