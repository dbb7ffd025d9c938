"""The database's server as a command meets it: waited for, and never asked without a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from alembic.util import CommandError
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from . import database
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)

Found = TypeVar("Found")
LOOK_AGAIN = 5.0
LONGEST_PAUSE = 60.0
# How soon the server notices that a command was killed, so that what it locked is free again.
NOTICE_THE_DEAD = "2s"
LOCKED, STATEMENT_TOOK_TOO_LONG, FORBIDDEN = "55P03", "57014", "42501"


def engine_for(settings: Settings, url: URL, **session: str) -> Engine:
    """Return an engine that keeps no connection; `session` holds PostgreSQL settings for its sessions."""
    if url.drivername == "sqlite":
        return create_engine(url, poolclass=NullPool, hide_parameters=True)
    session = {"client_connection_check_interval": NOTICE_THE_DEAD, **session}
    options = " ".join(f"-c {name}={value}" for name, value in session.items())
    arguments = {
        **database.connect_args(settings, "migrate"),
        "application_name": application_name(settings),
        "options": options,
    }
    return create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)


def application_name(settings: Settings) -> str:
    """Return what the command calls itself, which whoever waits for it is told; PostgreSQL keeps 63 characters."""
    who = f" by {settings.release_by}" if settings.release_by else ""
    return f"scaffold migrate {settings.release[:20]}{who}".encode("ascii", "replace").decode()[:63]


def milliseconds(seconds: float) -> str:
    """Return a time as PostgreSQL's settings take it."""
    return f"{round(seconds * 1000)}ms"


def is_worth_waiting(error: OperationalError) -> bool:
    """Tell whether a failed connection may work in a moment: nobody answers, or the server is starting."""
    words = str(error.orig).lower()
    return not any(
        said in words for said in ("authentication failed", "does not exist", "permission denied", "pg_hba.conf")
    )


def wait_for(engine: Engine, seconds: float) -> None:
    """Return when the server takes a connection; raise `CommandError` when it has not done so in time."""
    deadline, told = time.monotonic() + seconds, 0.0
    while True:
        try:
            with engine.connect():
                return
        except OperationalError as error:
            words = database.reason(error)
            if not is_worth_waiting(error):
                raise CommandError(f"the database refused the connection: {words}") from None
            if time.monotonic() >= deadline:
                raise CommandError(
                    f"the database at {engine.url.host} did not answer within {seconds:g} s: {words}; "
                    "start it, or give it longer with MIGRATION_DATABASE_WAIT"
                ) from None
            if time.monotonic() - told >= LOOK_AGAIN:
                told = time.monotonic()
                log.info("waiting for the database", host=engine.url.host, error=words)
        time.sleep(0.25)


def state_of(error: DBAPIError) -> str | None:
    """Return PostgreSQL's SQLSTATE of an error."""
    return getattr(error.orig, "sqlstate", None)


def patiently(settings: Settings, attempt: Callable[[], Found]) -> Found:
    """Return what the attempt returns; one that met a locked table is made again, a bounded number of times.

    Whoever waits for a lock makes everybody else who wants that table wait behind it: so the waits are short, and the
    pauses, in which the others go on, are longer each time.
    """
    for number in range(1, settings.migration_lock_attempts + 1):
        try:
            return attempt()
        except DBAPIError as error:
            if state_of(error) != LOCKED or number == settings.migration_lock_attempts:
                raise
        pause = min(settings.migration_lock_timeout * 2 ** (number - 1), LONGEST_PAUSE)
        log.warning(
            "a table stayed locked by another session, trying again after a pause",
            attempt=number,
            attempts=settings.migration_lock_attempts,
            pause_seconds=pause,
        )
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")
