"""The database killed and its volume taken away: how old is the newest commit that comes back, and is any missing."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.row import Row, spread
from tests.conftest import LABEL, build, remove_labelled, run_docker, started_at
from tests.database.archived import Archived
from tests.database.conftest import Database

KILLED_AFTER = (52.0, 67.0, 81.0)
"""At other moments of the 30 s within which a segment is handed over."""
TABLE = "CREATE TABLE tick (number bigint PRIMARY KEY, at timestamptz NOT NULL)"
TICK = """
DO $$
DECLARE number bigint := 0;
BEGIN
    LOOP
        number := number + 1;
        INSERT INTO tick VALUES (number, clock_timestamp());
        COMMIT;
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$
"""
SEEN = "SELECT extract(epoch FROM max(at)), count(*), max(number) FROM tick"


def lost(image: str, run_id: str, folder: Path, seconds: float) -> tuple[float, float, int]:
    """Lose a database that commits all the time; return seconds of work lost, seconds to be back, commits missing."""
    database = Database(run_docker, image, run_id, folder)
    archived = Archived(database)
    try:
        archived.begin(seconds=30)
        database.sql(TABLE)
        run_docker("exec", "-d", database.name, "psql", "-Xq", "-d", "scaffold", "-c", TICK)
        time.sleep(seconds)
        killed = time.time()
        database.kill_host_process(database.pid_one())
        run_docker("rm", "-f", database.name)
        run_docker("volume", "rm", database.data)
        began = time.monotonic()
        archived.swap(archived.restored("latest"), "-e", "PITR=false")
        database.wait_ready()
        newest, count, last = database.sql(SEEN).split("|")
        return killed - float(newest), time.monotonic() - began, int(last) - int(count)
    finally:
        database.remove()


def rows() -> list[Row]:
    """Lose a few databases."""
    run_id = f"{os.getpid()}-{started_at(os.getpid())}-pitr"
    image = build("database")
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = [lost(image, run_id, Path(folder), seconds) for seconds in KILLED_AFTER]
    finally:
        remove_labelled(f"{LABEL}={run_id}")
    ages, returns, missing = zip(*found, strict=True)
    return [
        Row("database's volume lost: age of the newest commit that is back", max(ages), 60, "s", spread(ages)),
        Row("database's volume lost: commits missing before that one", sum(missing), 0, "", "20 commits/s"),
        Row("database's volume lost: restored, proven and serving", max(returns), 60, "s", spread(returns)),
    ]
