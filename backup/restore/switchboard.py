"""What a restore stops and starts: the app's containers or pods, behind one interface for both platforms."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from backup import setting
from backup.error import StopError
from restore import place

CLUSTER = "KUBERNETES_SERVICE_HOST"
SERVICES = "web"

RUNNING = "running"
STOPPED = "stopped"
ABSENT = "absent"

HEALTHY = "healthy"
"""It answers its health check, or has none."""
UNHEALTHY = "unhealthy"
STARTING = "starting"
STOPPING = "stopping"


@dataclass(frozen=True)
class Unit:
    """A container, or a Deployment with its pods: what it is now, and how many there were when it was looked at.

    `detail` is, of what runs, one of healthy, unhealthy, starting and stopping, and of the rest the platform's word.
    """

    name: str
    state: str
    detail: str = ""
    replicas: int = 0

    @property
    def healthy(self) -> bool:
        """Whether all of it runs and answers."""
        return self.state == RUNNING and self.detail == HEALTHY


@dataclass(frozen=True)
class Ended:
    """How a release's migrations ended, and the last lines that they logged, without secrets."""

    status: int
    lines: tuple[str, ...] = ()


class SwitchboardError(Exception):
    """Something could not be looked at, stopped or started; a `transient` reason may be gone at the next try."""

    def __init__(self, reason: str, hint: str, *, transient: bool) -> None:
        super().__init__(reason, hint)
        self.reason = reason
        self.hint = hint
        self.transient = transient

    def __str__(self) -> str:
        return f"{self.reason}. {self.hint}"


class Switchboard(Protocol):
    """Stops and starts; every call ends in time, and raises SwitchboardError where it cannot do what it is for.

    What is away for a moment, such as a daemon that restarts, is waited for within the time that a call has.
    """

    def resolve(self, names: Sequence[str]) -> list[Unit]:
        """Return what runs of services now, and containers by their names; a name that nothing has is absent."""

    def state(self, unit: Unit) -> Unit:
        """Return what a unit is now."""

    def stop(self, unit: Unit, timeout: float) -> None:
        """Stop a unit, and return once it has really stopped; after the timeout it is ended by force, where it can be.

        One that is absent has stopped.
        """

    def start(self, unit: Unit, timeout: float) -> None:
        """Start as much of a unit as there was, and return once it runs; whether it is well, `state` tells."""

    def run_migration(self, release: str, timeout: float) -> Ended:
        """Run a release's migrations to their end, anew where they are running, and stop them after the timeout."""


def services(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the names in the settings that are the stack's services, and not a container's own name."""
    return frozenset(setting.words("RESTORE_SERVICES", environ) or (SERVICES,))


def connect(environ: Mapping[str, str] = os.environ) -> Switchboard:
    """Return this platform's switchboard; raise StopError where none is set up."""
    # Each platform's half loads only where it is used.
    if environ.get(place.SETTING):
        from restore.docker import DockerSwitchboard

        return DockerSwitchboard(str(place.of(environ)), services(environ))
    if environ.get(CLUSTER):
        from restore.kubernetes import connected

        return connected(environ)
    raise StopError(
        f"{place.SETTING}: not set, wanted the socket of the gate (`python -m restore gate`), by which containers are "
        "stopped and started; in a pod the cluster's own API is used instead"
    )
