"""A database server of a bench's own, on a network where whatever works on it stands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import build, run_docker
from tests.database.conftest import Database, roles_document


@contextmanager
def running(folder: Path, run_id: str, **passwords: str) -> Iterator[tuple[Database, str]]:
    """Run one as the tests do, with some roles' passwords; lend it with the name of its network."""
    database = Database(run_docker, build("database"), run_id, folder)
    network = f"{database.name}-network"
    run_docker("network", "create", "--internal", "--label", database.label, network)
    database.create("--network", network, "--network-alias", "database", "--memory", "3g")
    database.wait_for("ready to accept connections", seconds=300)
    database.roles(roles_document(**passwords))
    try:
        yield database, network
    finally:
        database.remove()
