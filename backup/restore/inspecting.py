"""`inspect`: what is in the scratch database after a load, read as the role that loaded it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg

from backup import connection, reading, sql
from backup.connection import Session
from backup.error import StopError
from backup.url import Postgres
from restore import guard, session
from restore.refusal import RefusalError
from restore.request import Request
from restore.stage import Stage

INDEXES = f"""SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {reading.OWN} AND NOT (i.indisvalid AND i.indisready)
    ORDER BY 1 LIMIT 100"""  # noqa: S608 - constants
CONSTRAINTS = f"""SELECT c.conrelid::regclass || ': ' || c.conname FROM pg_constraint c
    JOIN pg_namespace n ON n.oid = c.connamespace WHERE {reading.OWN} AND NOT c.convalidated
    ORDER BY 1 LIMIT 100"""  # noqa: S608 - constants
# A table's owner is subject to its policies too where that is forced.
FORCED = f"""SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {reading.OWN} AND c.relforcerowsecurity"""  # noqa: S608 - constants
HEADS = "SELECT left(version_num::text, 64) FROM public.alembic_version ORDER BY 1 LIMIT 10"
THERE = "SELECT to_regclass('public.alembic_version') IS NOT NULL"
HINT = "Look into the file: it was loaded, but cannot be read again as it should"
SMOKE = "Look whether the file is of the app's database, or correct the setting"


def inspect(folder: Path, asked: Request, target: Postgres) -> dict[str, object]:
    """Return rows and a hash of each table, and whatever else can be compared with what is wanted."""
    stage = Stage(folder, asked.seq, "inspect")
    with guard.held(target), contextlib.closing(connection.connect(target)) as ours:
        try:
            ours.execute("ANALYZE")
            found = contents(ours, stage)
            whole(ours)
            found |= {"unvalidated": session.names(ours, CONSTRAINTS), "head": head(ours)}
            for text in asked.smoke:
                smoke(ours, text)
        except psycopg.Error as error:
            raise session.explained(error, "after the load") from None
        except RefusalError:
            raise
        except StopError as error:
            raise RefusalError(str(error).rstrip("."), HINT) from None
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                ours.cancel_safe(timeout=5)
            raise
    return {**found, "seconds": stage.done()}


def contents(ours: Session, stage: Stage) -> dict[str, object]:
    """Return the contents as a backup's manifest has them."""
    with unforced(ours):

        def tick(name: str, number: int, count: int) -> None:
            stage.of = count
            stage.tick(number, name)

        found = reading.read(ours, tick)
    return {**found.document(), "rows": found.rows}


def whole(ours: Session) -> None:
    """Raise RefusalError for an index that could not be finished."""
    if broken := session.names(ours, INDEXES):
        raise RefusalError(f"indexes are not valid: {', '.join(broken)}", HINT)


@contextlib.contextmanager
def unforced(ours: Session) -> Iterator[None]:
    """Let the owner of the tables see all of their rows, for as long as the block lasts."""
    with ours.transaction(force_rollback=True):
        for name in session.names(ours, FORCED):
            ours.execute(f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY".encode())
        yield


def head(ours: Session) -> str:
    """Return the migration that the database is at."""
    ((there,),) = ours.execute(THERE).fetchall()
    return ",".join(session.names(ours, HEADS)) if there else ""


def smoke(ours: Session, text: str) -> None:
    """Run a statement that only reads; raise RefusalError when it fails, or says nothing but false."""
    try:
        with unforced(ours), ours.transaction():
            ours.execute("SET TRANSACTION READ ONLY")
            ours.execute(f"SET LOCAL search_path = {sql.name('public')}".encode())
            cursor = ours.execute(text.encode(), binary=True)
            rows = cursor.fetchmany(2) if cursor.description else []
    except psycopg.Error as error:
        raise RefusalError(session.explained(error, "RESTORE_SMOKE_SQL fails").reason, SMOKE) from None
    if len(rows) == 1 and len(rows[0]) == 1 and rows[0][0] is False:
        raise RefusalError("RESTORE_SMOKE_SQL says false", SMOKE)
