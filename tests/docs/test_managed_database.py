"""What the operations guide has an administrator type works, and makes a database that the check accepts."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LABEL, Docker

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
SECONDS = 60
PASSWORD = "typed-by-an-administrator"
SUPERUSER = "postgresql:///postgres?user=postgres"
ADMINISTRATOR = f"postgresql://administrator:{PASSWORD}@127.0.0.1/postgres"


def statements() -> str:
    """Return the guide's SQL with passwords filled in."""
    (block,) = re.findall(r"^```sql\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    return str(block).replace("'…'", f"'{PASSWORD}'")


def inside(server: str, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in the server's container with a text as its input."""
    return subprocess.run(
        ["docker", "exec", "-i", server, *command],
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=SECONDS,
        check=False,
    )


def typed(server: str, url: str, sql: str) -> None:
    """Give SQL to the server, stopping at the first error."""
    done = inside(server, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url, text=sql)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def server(docker: Docker, database_image: str, run_id: str) -> Iterator[str]:
    """A PostgreSQL server without any role of ours, as the name of its container."""
    name = f"scaffold-docs-{run_id}"
    docker("run", "-d", "--name", name, "--label", f"{LABEL}={run_id}", database_image)
    try:
        deadline = time.monotonic() + SECONDS
        while inside(name, "pg_isready", "-q", "-d", SUPERUSER).returncode != 0:
            assert time.monotonic() < deadline, docker("logs", name)
            time.sleep(0.2)
        yield name
    finally:
        docker("rm", "-fv", name)


@pytest.mark.parametrize("url", [SUPERUSER, ADMINISTRATOR], ids=["a superuser", "an administrator who is none"])
def test_the_guides_sql_makes_a_database_that_the_check_accepts_and_its_dump_is_one(server: str, url: str) -> None:
    if url == ADMINISTRATOR:
        typed(server, SUPERUSER, f"CREATE ROLE administrator LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORD}'")
    typed(server, url, statements())
    urls = {
        "DATABASE_URL": f"postgresql+psycopg://owner:{PASSWORD}@127.0.0.1:5432/scaffold",
        "APP_DATABASE_URL": f"postgresql+psycopg://app_a:{PASSWORD}@127.0.0.1:5432/scaffold",
    }
    given = [f"{name}={value}" for name, value in urls.items()]
    checked = inside(server, "env", *given, "python3", "-m", "server", "check")
    assert checked.returncode == 0, checked.stdout
    said = [json.loads(line) for line in checked.stdout.splitlines()]
    assert "the database has the version, roles and rights needed" in said[-1].values()
    (command,) = re.findall(r"^docker exec \S+ (pg_dump .+) > ", GUIDE, re.MULTILINE)
    dump = inside(server, *str(command).split())
    assert dump.returncode == 0, dump.stderr
    assert dump.stdout.startswith("PGDMP")
