"""The lock on the server that a migration, a restore and the ledger take, so that one of them runs at a time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from . import server
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)

# The first half of the lock's key ("scaf"); the second is PostgreSQL's own hash of the database's name, so that
# anything that must not run beside a migration can take the same lock with SQL alone.
LOCK_CLASS = 0x73636166
LOCK_DATABASE = "postgres"

HOLDER = text(
    "SELECT a.pid, a.usename, a.application_name, a.state_change AS since FROM pg_locks l JOIN pg_stat_activity a "
    "USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND l.classid = :class AND l.objid::bigint = "
    "(hashtext(:name)::bigint + 4294967296) % 4294967296 AND l.objsubid = 2"
)
CALLED = re.compile(r"scaffold migrate (?P<release>\S+)(?: by (?P<by>.+))?")


def holder_of(connection: Connection, name: str) -> dict[str, str]:
    """Return who holds the lock: process on the server, role, what it calls itself, and since when."""
    row = connection.execute(HOLDER, {"class": LOCK_CLASS, "name": name}).mappings().first()
    found = {key: str(value) for key, value in row.items() if value is not None} if row else {}
    called = CALLED.fullmatch(found.get("application_name", ""))
    return found | {key: value for key, value in (called.groupdict() if called else {}).items() if value}


def words(holder: Mapping[str, str]) -> str:
    """Return who holds the lock in words, the release and its maker first where they are known."""
    if not holder:
        return "it is gone now"
    known = ("release", "by")
    first = [f"{key} {holder[key]}" for key in known if key in holder]
    # What it calls itself says nothing more than these.
    left_out = (*known, "application_name") if first else known
    return ", ".join([*first, *(f"{key} {value}" for key, value in holder.items() if key not in left_out)])


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Hold the server-wide lock for this database; raise `CommandError` when another holds it for too long.

    It is taken in the database `postgres`, because advisory locks are per database and a restore replaces this one.
    """
    url = settings.database_url
    if url.drivername == "sqlite":
        yield
        return
    patience = server.milliseconds(server.LOOK_AGAIN)
    engine = server.engine_for(settings, url.set(database=LOCK_DATABASE), lock_timeout=patience)
    deadline = time.monotonic() + settings.migration_lock_wait
    key: dict[str, Any] = {"class": LOCK_CLASS, "name": str(url.database)}
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            taken = connection.scalar(text("SELECT pg_try_advisory_lock(:class, hashtext(:name))"), key)
            while not taken:
                holder = holder_of(connection, key["name"])
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise CommandError(
                        f"another migration or a restore held the lock for {settings.migration_lock_wait:g} s: "
                        f"{words(holder)}; let it end, or give it longer with MIGRATION_LOCK_WAIT"
                    )
                log.info("waiting for the lock", holder=holder)
                patience = server.milliseconds(max(0.05, min(server.LOOK_AGAIN, remaining)))
                connection.execute(text("SELECT set_config('lock_timeout', :patience, false)"), {"patience": patience})
                taken = take(connection, key)
            log.info("lock taken", database=key["name"])
            yield
    finally:
        engine.dispose()


def take(connection: Connection, key: dict[str, Any]) -> bool:
    """Wait for the lock as long as the session's lock_timeout, and tell whether it was taken."""
    try:
        connection.execute(text("SELECT pg_advisory_lock(:class, hashtext(:name))"), key)
    except OperationalError as error:
        if server.state_of(error) != server.LOCKED:
            raise
        return False
    return True
