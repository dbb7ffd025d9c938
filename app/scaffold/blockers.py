"""Who holds up a migration: looked at from beside while it waits, for afterwards the server cannot tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from . import database

log = structlog.stdlib.get_logger(__name__)

BLOCKERS = text(
    "SELECT a.pid, a.usename, a.application_name FROM unnest(pg_blocking_pids(:pid)) AS blocker (pid) "
    "JOIN pg_stat_activity a USING (pid) ORDER BY a.pid LIMIT 3"
)


@contextmanager
def watched(engine: Engine, connection: Connection, every: float) -> Iterator[list[str]]:
    """Look every so many seconds whom the connection's session waits for; the list holds those seen last."""
    seen: list[str] = []
    if connection.dialect.name != "postgresql":
        yield seen
        return
    pid = connection.scalar(text("SELECT pg_backend_pid()"))
    connection.rollback()
    ended = threading.Event()

    def look() -> None:
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as beside:
                while not ended.wait(every):
                    rows = beside.execute(BLOCKERS, {"pid": pid}).all()
                    if rows:
                        seen[:] = [f"pid {row.pid} of role {row.usename} ({row.application_name})" for row in rows]
        except SQLAlchemyError as error:
            log.info("nobody looks who holds the migration up", error=database.reason(error))

    thread = threading.Thread(target=look, name="blockers", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join(5)
