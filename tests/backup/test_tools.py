"""The tools beside the program: which server and which database they can make a backup of."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from backup import source, tools
from backup.error import StopError
from backup.reading import Extension
from backup.source import Source
from backup.tools import Tools

OURS = Tools(Path("/usr/lib/postgresql/17/bin"), 17, 12, frozenset({"plpgsql", "hstore"}))
THEIRS = Source(170012, "17.12", "UTF8", "builtin", "C", "C", "C.UTF-8", "", ("public",), (), ())


def test_a_newer_major_is_refused_with_both_versions() -> None:
    source.check(THEIRS, OURS)
    source.check(THEIRS._replace(version_number=150019, version="15.19"), OURS)
    with pytest.raises(StopError) as refused:
        source.check(THEIRS._replace(version_number=180006, version="18.6"), OURS)
    assert "PostgreSQL 18.6" in str(refused.value)
    assert "17.12" in str(refused.value)


def test_extensions_that_are_not_here_are_all_named() -> None:
    found = tuple(Extension(name, "1.0", "public") for name in ("hstore", "vector", "postgis"))
    with pytest.raises(StopError, match=r"vector, postgis, which the PostgreSQL 17\.12 here lacks"):
        source.check(THEIRS._replace(extensions=found), OURS)


@pytest.mark.parametrize(("major", "minor"), sorted(tools.FIXED.items()))
def test_tools_older_than_their_fixes_are_refused(major: int, minor: int) -> None:
    tools.check(major, minor)
    with pytest.raises(StopError, match=rf"wanted {major}\.{minor} or later.*make upgrade-images"):
        tools.check(major, minor - 1)
    assert tools.parse(f"pg_dump (PostgreSQL) {major}.{minor} (Debian)") == (major, minor)


def test_what_is_no_version_and_where_no_tools_are_is_said(tmp_path: Path) -> None:
    with pytest.raises(StopError, match="no PostgreSQL is there"):
        tools.find(tmp_path)
    with pytest.raises(StopError, match="as its version"):
        tools.parse("pg_dump: nothing")


def test_the_role_of_the_throwaway_server_that_everybody_knows_has_no_way_in(desk: Any) -> None:
    """What is loaded may try to connect; the empty server's own role has no password, on no database."""
    script = """
import sys
from pathlib import Path
from backup import connection, throwaway, tools
from backup.error import StopError
from backup.url import Postgres
folder = Path(f"/var/lib/backup/{sys.argv[1]}")
with throwaway.started(tools.find(), folder) as server:
    with connection.connect(server.as_admin()) as session:
        known = session.execute("SELECT rolname, rolpassword IS NULL FROM pg_authid WHERE rolcanlogin").fetchall()
    for password in (None, "", "nobody-comes-in-as-this"):
        try:
            connection.connect(Postgres(server.place("nobody-comes-in-as-this", "postgres"), password)).close()
            sys.exit("it came in")
        except StopError as error:
            print(error)
print(sorted(known) != [] and len([row for row in known if row[1]]))
"""
    done = subprocess.run(
        ["docker", "exec", desk.stage.name, "python", "-c", script, f"known-{uuid.uuid4().hex[:6]}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    *refusals, without = done.stdout.splitlines()
    assert without == "1", "of the three roles that may log in, only the one that everybody knows has no password"
    assert len(refusals) == 3
    assert json.dumps(refusals).count("no password supplied") + json.dumps(refusals).count("authentication failed") >= 3
