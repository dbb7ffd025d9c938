"""A database server of a bench's own, and beside it the container that works on it, as the tests have both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from tests.conftest import Docker, build, run_docker
from tests.database.conftest import Database, roles_document


class Beside(Protocol):
    """A container that is started beside a server, and taken away."""

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """Take it away."""


B = TypeVar("B", bound=Beside)


@contextmanager
def beside(
    kind: Callable[[Docker, str, Database, str, Path], B], folder: Path, run_id: str, **passwords: str
) -> Iterator[B]:
    """Run a server with some roles' passwords, and what is lent beside it; both are gone after the block."""
    database = Database(run_docker, build("database"), run_id, folder)
    network = f"{database.name}-network"
    run_docker("network", "create", "--internal", "--label", database.label, network)
    database.create("--network", network, "--network-alias", "database", "--memory", "3g")
    database.wait_for("ready to accept connections", seconds=300)
    database.roles(roles_document(**passwords))
    made = kind(run_docker, build("backup"), database, network, folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        database.remove()
