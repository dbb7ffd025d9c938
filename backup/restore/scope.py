"""Which containers the gate lets anybody see, stop and start: a decision on plain data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from restore.engine import Container

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
"""What Docker takes as a container's name."""
PROJECT = "scaffold.project"
STACK = "scaffold.stack"
SERVICE = "scaffold.service"
RELEASE = "scaffold.release"
LABELS = (PROJECT, STACK, SERVICE, RELEASE)
MIGRATE = "migrate"


@dataclass(frozen=True)
class Scope:
    """A stack, and what may be stopped and started: some of its services, and containers by their whole names."""

    project: str
    stack: str
    services: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def ours(self, container: Container) -> bool:
        """Whether a container is this stack's, by its labels, which nothing changes after its creation."""
        labels = container.labels
        return labels.get(PROJECT) == self.project and labels.get(STACK) == self.stack

    def seen(self, container: Container) -> bool:
        """Whether a container may be looked at."""
        return self.ours(container) or container.name in self.names

    def switched(self, container: Container) -> bool:
        """Whether a container may be stopped and started."""
        of_service = self.ours(container) and container.labels.get(SERVICE) in self.services
        return of_service or container.name in self.names

    def migrates(self, container: Container, release: str) -> bool:
        """Whether a container holds the migrations of that release of this stack."""
        labels = container.labels
        return self.ours(container) and labels.get(SERVICE) == MIGRATE and labels.get(RELEASE) == release

    def shown(self, container: Container) -> dict[str, object]:
        """Return all that anybody is told of a container: its name, the stack's labels, and its state."""
        own = {label: container.labels[label] for label in LABELS if label in container.labels}
        state = f"{container.state} ({container.health})" if container.health else container.state
        return {"name": container.name, "labels": own if self.ours(container) else {}, "state": state}


def named(containers: Iterable[Container], name: str) -> Container | None:
    """Return the container that has exactly that name."""
    return next((each for each in containers if each.name == name), None)
