"""What the tests of restores share: a database server with the roles of restores, and the loader beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import ROOT
from tests.database.conftest import Database, roles_document
from tests.restore.depot import PASSWORD, Depot

Docker = Callable[..., str]
PAIN = ROOT / "tests/backup/pain.sql"
# What only a superuser may make is in no database that is restored here.
UNTRUSTED = "DROP EXTENSION postgres_fdw CASCADE; DROP EXTENSION pg_stat_statements;"


@pytest.fixture(scope="package")
def depot(
    docker: Docker, database_image: str, backup_image: str, run_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Depot]:
    """A database server and the loader beside it."""
    root = tmp_path_factory.mktemp("restore")
    # The containers' users reach what is in it.
    for folder in (root, root.parent):
        folder.chmod(0o755)
    database = Database(docker, database_image, run_id, root)
    network = f"{database.name}-network"
    docker("network", "create", "--internal", "--label", database.label, network)
    database.create("--network", network, "--network-alias", "database", "--memory", "3g")
    database.wait_ready()
    database.roles(roles_document(restore_loader=PASSWORD))
    ours = Depot(docker, backup_image, database, network, root)
    ours.run('CREATE ROLE "Odd; Röle"')
    ours.start()
    yield ours
    ours.stop()
    database.remove()


@pytest.fixture(scope="package")
def painful(depot: Depot) -> str:
    """The name of a database with data that hurts."""
    depot.run('CREATE DATABASE pain OWNER "owner" TEMPLATE template0')
    depot.run(PAIN.read_text(encoding="utf-8") + UNTRUSTED, "pain")
    return "pain"
