"""`roles`: makes the database, its roles and their rights as roles.json asks; what is so already stays untouched."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from server import change, line, psql, setting, state, volume, wanted
from server.access import SUPERUSER
from server.change import Change
from server.error import StopError

FILE = "/run/files/roles.json"
WAIT_SECONDS = 60.0
PROGRESS_SECONDS = 5.0
POLL_SECONDS = 0.1


def main() -> int:
    """Bring the server into the wanted state and return 0; 1 when that cannot be done."""
    try:
        seconds = setting.seconds("WAIT_TIMEOUT", WAIT_SECONDS, os.environ)
        want = wanted.read(Path(os.environ.get("ROLES_FILE", FILE)))
        wait(seconds)
        count = settle(want)
    except StopError as error:
        line.say("error", str(error))
        return 1
    except psql.SqlError as error:
        line.say(
            "error",
            f"the server refused: {error}. Nothing of this step was kept; run the job again",
            sqlstate=error.state,
        )
        return 1
    line.say("info", "roles are as wanted" if count else "roles are as wanted: nothing changed", changes=count)
    return 0


def wait(seconds: float) -> None:
    """Wait until the server accepts connections, telling so now and then; raise StopError when it does not in time."""
    began = time.monotonic()
    told = began
    command = ["pg_isready", "--quiet", "--timeout=2", f"--host={volume.SOCKETS}", f"--username={SUPERUSER}"]
    while subprocess.run([*command, "--dbname=postgres"], timeout=10, check=False).returncode != 0:
        now = time.monotonic()
        if now - began > seconds:
            raise StopError(
                f"{volume.SOCKETS}: no server accepted connections within {seconds:.0f} s. "
                f"Look at the log of the database container; WAIT_TIMEOUT changes the time"
            )
        if now - told >= PROGRESS_SECONDS:
            line.say("info", "waiting for the server", waited_seconds=round(now - began))
            told = now
        time.sleep(POLL_SECONDS)


def settle(want: wanted.Wanted) -> int:
    """Apply what differs and return the number of changes."""
    names = [wanted.GROUP, *(login.name for login in want.logins)]
    query = state.cluster(names, [want.database, SUPERUSER, "template1"])
    now = ask(SUPERUSER, query)
    steps = change.cluster(now, want)
    apply(SUPERUSER, steps, together=True)
    about_databases = change.databases(now, want)
    apply(SUPERUSER, about_databases, together=False)
    inside = change.contents(ask(want.database, state.contents(want.owner.name)), want)
    apply(want.database, inside, together=True)
    return len(steps) + len(about_databases) + len(inside)


def connection(database: str) -> psql.Connection:
    """Return the superuser's connection over the socket."""
    return psql.Connection(psql.conninfo({"host": str(volume.SOCKETS), "user": SUPERUSER, "dbname": database}))


def ask(database: str, query: str) -> Any:
    """Return a query's JSON answer."""
    return json.loads(psql.query(connection(database), query))


def apply(database: str, changes: list[Change], *, together: bool) -> None:
    """Make the changes, all or none where they go together, and print each; creating a database must go alone."""
    if not changes:
        return
    # A lock that a long query holds must not make everything queue behind this job.
    first = "SET lock_timeout = '10s';"
    if together:
        statements = ";\n".join(item.statement for item in changes)
        psql.query(connection(database), f"{first}\nBEGIN;\n{statements};\nCOMMIT;\n")
        for item in changes:
            line.say("info", item.message, database=database)
        return
    for item in changes:
        psql.query(connection(database), f"{first}\n{item.statement};\n")
        line.say("info", item.message, database=database)
