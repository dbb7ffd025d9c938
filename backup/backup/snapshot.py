"""One moment of the database, shared by everything that reads it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import psycopg

from backup import reading
from backup.connection import Session, words
from backup.error import StopError

TRIES = 3
LOCK_SECONDS = 60
AT_ONCE = 200


class Snapshot(NamedTuple):
    """An exported snapshot, and the place in the log it was taken at."""

    identifier: str
    lsn: str


@contextlib.contextmanager
def held(session: Session) -> Iterator[Snapshot]:
    """Hold a snapshot, with a lock on each table that is in it, for as long as the block lasts.

    The locks come first: a table that is emptied or rewritten after the snapshot would look empty in it.
    """
    for _ in range(TRIES):
        names = [place.name for place in reading.tables(session)]
        try:
            snapshot = take(session, names)
        except psycopg.errors.UndefinedTable:
            session.execute("ROLLBACK")
            continue
        except psycopg.Error as error:
            with contextlib.suppress(psycopg.Error):
                session.execute("ROLLBACK")
            raise StopError(
                f"no snapshot could be taken: {words(error)}. Is a migration under way? Run it again"
            ) from None
        if names == [place.name for place in reading.tables(session)]:
            break
        session.execute("ROLLBACK")
    else:
        raise StopError(f"tables came and went {TRIES} times while they were locked. Run it again after the migration")
    try:
        yield snapshot
    finally:
        with contextlib.suppress(psycopg.Error):
            session.execute("ROLLBACK")


def take(session: Session, names: list[str]) -> Snapshot:
    """Begin a transaction, lock the tables and export its snapshot."""
    session.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    session.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    for first in range(0, len(names), AT_ONCE):
        some = ", ".join(f"ONLY {name}" for name in names[first : first + AT_ONCE])
        session.execute(f"LOCK TABLE {some} IN ACCESS SHARE MODE".encode())
    session.execute("SET LOCAL lock_timeout = 0")
    ((identifier,),) = session.execute("SELECT pg_export_snapshot()").fetchall()
    lsn = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text"
    ((place,),) = session.execute(lsn).fetchall()
    return Snapshot(str(identifier), str(place))
