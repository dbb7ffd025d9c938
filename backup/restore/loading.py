"""`load`: a file's contents into the scratch database, as a role that owns nothing else."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections import Counter
from pathlib import Path

import psycopg

from backup import archive, connection, program
from backup.connection import Session
from backup.error import StopError
from backup.tools import Tools
from backup.url import Postgres
from restore import dump, guard, inlet, rules, session, validating
from restore.request import FILE, Request
from restore.script import Script, Step
from restore.session import Runner
from restore.stage import Stage

MOST_JOBS = 4
# A statement whose client is gone is not run to its end. Waiting for the disk at each commit is for the one who puts
# the database in its place: what he commits makes durable what was committed before.
SETTINGS = {"client_connection_check_interval": "5s", "synchronous_commit": "off", "search_path": '"$user", public'}
SCHEMAS = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"


def load(folder: Path, asked: Request, tools: Tools, target: Postgres) -> dict[str, object]:
    """Load a file; return what of it was left out, how many rows it has and how long it took."""
    stage = Stage(folder, asked.seq, "load", (folder / FILE).stat().st_size)
    with guard.held(target):
        if asked.kind.startswith("dump"):
            found = of_dump(folder, asked, tools, target, stage)
        else:
            found = of_text(folder, asked, target, stage)
    return {**found, "seconds": stage.done(rows=found["rows"])}


def of_text(folder: Path, asked: Request, target: Postgres, stage: Stage) -> dict[str, object]:
    """Load a plain dump, statement by statement."""
    with contextlib.closing(connection.connect(target)) as ours, inlet.opened(folder / FILE) as file:
        try:
            script = Script(validating.inlet_of(file, asked, stage).read, schemas=schemas(ours))
            for name, value in SETTINGS.items():
                ours.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
            runner = Runner(ours)
            for step in script.steps():
                run(runner, step)
            runner.end()
        except psycopg.Error as error:
            raise session.explained(error, "the session with the server") from None
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                ours.cancel_safe(timeout=5)
            raise
    return {"rows": script.about.rows, "ignored": told(script.about.left_out)}


def run(runner: Runner, step: Step) -> None:
    """Do with one statement of a dump what is to be done."""
    statement, verdict = step.statement, step.verdict
    if verdict.action == rules.COPY:
        runner.copy(statement.text, statement.line, step.data)
    elif verdict.action == rules.RUN and statement.tokens[:2] == (b"insert", b"into"):
        runner.insert(statement.text, statement.line)
    elif verdict.action == rules.RUN:
        runner.run(statement.text, statement.line, tolerant=drops(statement.tokens))


def drops(tokens: tuple[bytes, ...]) -> bool:
    """Tell whether a statement only takes something away, as pg_dump --clean does first, in a database without it."""
    if tokens[:1] == (b"drop",) or tokens[:4] == (b"select", b"pg_catalog", b".", b"lo_unlink"):
        return True
    return tokens[:2] == (b"alter", b"table") and b"drop" in tokens and b"add" not in tokens


def told(left_out: Counter[str]) -> list[str]:
    """Return in words what was left out."""
    return [f"{kind}: {count}" for kind, count in sorted(left_out.items())]


def schemas(ours: Session) -> frozenset[str]:
    """Return the schemas that are there already."""
    return frozenset(str(row[0]) for row in ours.execute(SCHEMAS.encode()).fetchall())


def of_dump(folder: Path, asked: Request, tools: Tools, target: Postgres, stage: Stage) -> dict[str, object]:
    """Load a dump in the custom format by pg_restore, several tables at a time."""
    path = validating.unpacked(folder, asked, stage)
    stage.of = path.stat().st_size
    with contextlib.closing(connection.connect(target)) as ours:
        there = schemas(ours)
    try:
        entries = archive.listing(tools, path, asked.seconds).entries
    except StopError as error:
        raise dump.explained([str(error).partition(": ")[2]], 1) from None
    selection = archive.select(entries, there)
    chosen = folder / "entries"
    chosen.write_text("\n".join(selection.lines) + "\n", encoding="utf-8")
    with connection.access(target) as access:
        options = {name: value for name, value in SETTINGS.items() if name != "search_path"}
        environ = {**access.environ, "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in options.items())}
        command = dump.load(tools, path, chosen, access.conninfo, jobs())
        with program.started(command, environ=environ, descriptors=access.descriptors) as restoring:
            while restoring.running():
                stage.tick(min(bytes_read(restoring.process.pid), stage.of), dump.at_table(restoring))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    restoring.process.wait(dump.POLL_SECONDS)
            dump.finish(restoring)
    left_out = Counter(" ".join(entry.split()[:2]) for entry in selection.left_out)
    return {"rows": None, "ignored": told(left_out)}


def jobs() -> int:
    """Return how many tables are loaded at a time."""
    return max(1, min(MOST_JOBS, len(os.sched_getaffinity(0))))


def bytes_read(pid: int) -> int:
    """Return how much a process and its children have read."""
    total = 0
    with contextlib.suppress(OSError, ValueError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for number in [str(pid), *children]:
            with contextlib.suppress(OSError, ValueError):
                total += int(Path(f"/proc/{number}/io").read_text().split()[1])
    return total
