"""A loader with PostgreSQL's own programs, which keeps to the coordinator's protocol and to nothing else.

Run as `python scripted.py SPOOL`, with RESTORE_LOADER_URL in the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backup import connection, reading, url
from backup.error import StopError
from backup.url import Postgres

SPOOL = Path(sys.argv[1])
os.umask(0o027)


def at(database: str) -> Postgres:
    """The way into a database."""
    found = url.parse(os.environ["RESTORE_LOADER_URL"])
    assert isinstance(found, Postgres)
    return Postgres({**found.keywords, "dbname": database}, found.password)


def write(folder: Path, name: str, document: dict[str, Any]) -> None:
    """Write a file whole."""
    new = folder / f".{name}.loader"
    new.write_text(json.dumps(document))
    new.rename(folder / name)


def run(*command: str, database: str | None = None) -> str:
    """Run one of PostgreSQL's programs."""
    if database is None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    else:
        with connection.access(at(database)) as access:
            done = subprocess.run(
                [*command, f"--dbname={access.conninfo}"], env=access.environ, pass_fds=access.descriptors,
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
    if done.returncode:
        raise StopError(" ".join(done.stderr.split())[-500:])
    return done.stdout


def act(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked and return the answer's facts."""
    path = str(folder / "file")
    if request["verb"] == "validate":
        entries = run("pg_restore", "--list", path)
        run("pg_restore", "--file=/dev/null", path)
        return {"uncompressed_bytes": len(entries), "extensions": []}
    if request["verb"] == "load":
        chosen = folder / "entries"
        lines = [entry for entry in run("pg_restore", "--list", path).splitlines() if "SCHEMA - public" not in entry]
        chosen.write_text("\n".join(lines) + "\n")
        run(
            "pg_restore", "--exit-on-error", "--no-owner", "--no-acl", f"--use-list={chosen}", path,
            database=request["database"],
        )  # fmt: skip
        return {"rows": 1}
    with connection.connect(at(request["database"])) as session:
        session.execute("ANALYZE")
        there = session.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL").fetchone()
        head = (
            session.execute("SELECT version_num FROM public.alembic_version").fetchone() if there == (True,) else None
        )
        found = reading.read(session, lambda *_: None)
    return {"tables": [asdict(table) for table in found.tables], "head": str(head[0]) if head else ""}


def look(folder: Path) -> None:
    """Answer a job's request, if it has no answer yet."""
    try:
        request = json.loads((folder / "request.json").read_bytes())
        answered = json.loads((folder / "answer.json").read_bytes()) if (folder / "answer.json").exists() else {}
    except (OSError, ValueError):
        return
    if answered.get("seq") == request["seq"] or request["verb"] == "cancel":
        return
    write(folder, "progress.json", {"seq": request["seq"], "phase": request["verb"]})
    try:
        facts = act(folder, request)
        write(folder, "answer.json", {"seq": request["seq"], "ok": True, **facts})
    except (StopError, subprocess.SubprocessError) as error:
        write(folder, "answer.json", {"seq": request["seq"], "ok": False, "reason": str(error), "hint": "Look at it"})


def main() -> None:
    """Look for ever."""
    while True:
        for folder in sorted(SPOOL.iterdir()):
            try:
                look(folder)
            except OSError:
                continue
        time.sleep(0.02)


main()
