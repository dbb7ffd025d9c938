"""Schema migrations: one at a time on a server, with bounded waits, and all or nothing."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script
from alembic.util import CommandError
from flask import Flask, current_app
from flask_migrate import Migrate
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from . import database, schema, users
from .database import db
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)

# The first half of the lock's key ("scaf"); the second is PostgreSQL's own hash of the database's name, so that
# anything that must not run beside a migration can take the same lock with SQL alone.
LOCK_CLASS = 0x73636166
LOCK_DATABASE = "postgres"
LOOK_AGAIN = 5.0

TABLES = (users.User, schema.SchemaStep)


def init_app(app: Flask) -> None:
    """Add Flask-Migrate's `flask db` commands."""
    Migrate(app, db, directory=str(schema.DIRECTORY), render_as_batch=False)


def engine_for(settings: Settings, url: URL, **session: str) -> Engine:
    """Return an engine that keeps no connection; `session` holds PostgreSQL settings for its sessions."""
    if url.drivername == "sqlite":
        return create_engine(url, poolclass=NullPool, hide_parameters=True)
    options = " ".join(f"-c {name}={value}" for name, value in session.items())
    arguments = {**database.connect_args(settings, "migrate"), "options": options}
    return create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)


def milliseconds(seconds: float) -> str:
    """Return a time as PostgreSQL's settings take it."""
    return f"{round(seconds * 1000)}ms"


def is_worth_waiting(error: OperationalError) -> bool:
    """Tell whether a failed connection may work in a moment: nobody answers, or the server is starting."""
    words = str(error.orig).lower()
    return not any(
        said in words for said in ("authentication failed", "does not exist", "permission denied", "pg_hba.conf")
    )


def wait_for_server(engine: Engine, seconds: float) -> None:
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


HOLDER = text(
    "SELECT a.pid, a.usename, a.application_name, a.state_change AS since FROM pg_locks l JOIN pg_stat_activity a "
    "USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND l.classid = :class AND l.objid::bigint = "
    "(hashtext(:name)::bigint + 4294967296) % 4294967296 AND l.objsubid = 2"
)


def holder_of_lock(connection: Connection, name: str) -> dict[str, str]:
    """Return who holds the lock: process on the server, role, what it calls itself, and since when."""
    row = connection.execute(HOLDER, {"class": LOCK_CLASS, "name": name}).mappings().first()
    return {key: str(value) for key, value in row.items() if value is not None} if row else {}


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the server-wide lock for this database; raise `CommandError` when another holds it for too long.

    It is taken in the database `postgres`, because advisory locks are per database and a restore replaces this one.
    """
    url = settings.database_url
    if url.drivername == "sqlite":
        yield
        return
    engine = engine_for(settings, url.set(database=LOCK_DATABASE), lock_timeout=milliseconds(LOOK_AGAIN))
    deadline = time.monotonic() + settings.migration_lock_wait
    key: dict[str, Any] = {"class": LOCK_CLASS, "name": str(url.database)}
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            taken = connection.scalar(text("SELECT pg_try_advisory_lock(:class, hashtext(:name))"), key)
            while not taken:
                holder = holder_of_lock(connection, key["name"])
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise CommandError(
                        f"another migration or a restore held the lock for {settings.migration_lock_wait:g} s: "
                        + (", ".join(f"{name} {value}" for name, value in holder.items()) or "it is gone now")
                        + "; let it end, or give it longer with MIGRATION_LOCK_WAIT"
                    )
                log.info("waiting for the lock", holder=holder)
                patience = milliseconds(max(0.05, min(LOOK_AGAIN, remaining)))
                connection.execute(text("SELECT set_config('lock_timeout', :patience, false)"), {"patience": patience})
                taken = take_lock(connection, key)
            log.info("lock taken", database=key["name"])
            yield
    finally:
        engine.dispose()


def take_lock(connection: Connection, key: dict[str, Any]) -> bool:
    """Wait for the lock as long as the session's lock_timeout, and tell whether it was taken."""
    try:
        connection.execute(text("SELECT pg_advisory_lock(:class, hashtext(:name))"), key)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":
            raise
        return False
    return True


def require_rights(connection: Connection) -> None:
    """Raise `CommandError` when the role may not change the schema."""
    if connection.dialect.name != "postgresql":
        return
    role, allowed = connection.execute(
        text("SELECT current_user, has_schema_privilege(current_schema(), 'CREATE')")
    ).one()
    if not allowed:
        raise CommandError(
            f'role "{role}" may not change the schema: run "make migrate", which starts the migrate container '
            "of this release with the owner's role"
        )


def record_step(
    ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
) -> None:
    """Keep in the database which revision was applied or taken back, for images that do not know it."""
    del heads, run_args
    log.info(
        "schema step",
        revision=step.up_revision_id,
        follows=list(step.down_revision_ids),
        direction="upgrade" if step.is_upgrade else "downgrade",
    )
    connection = ctx.connection
    if connection is None or ctx.as_sql or not inspect(connection).has_table(schema.SchemaStep.__tablename__):
        return
    table = schema.SchemaStep.__table__
    connection.execute(table.delete().where(schema.SchemaStep.revision == step.up_revision_id))  # type: ignore[attr-defined]
    if step.is_upgrade and isinstance(step.up_revision, Script):
        settings: Settings = current_app.extensions["settings"]
        row = {
            "revision": step.up_revision_id,
            "follows": next(iter(step.down_revision_ids), None),
            "compatible": bool(getattr(step.up_revision.module, "compatible", False)),
            "release": settings.release,
        }
        connection.execute(table.insert().values(**row))  # type: ignore[attr-defined]


def is_newer_and_compatible(connection: Connection, present: tuple[str, ...], ours: frozenset[str]) -> bool:
    """Tell whether the schema is at a revision of a later image that this one works with; raise when it does not."""
    if not present or all(revision in schema.links() for revision in present):
        return False
    verdict = schema.check(connection, ours)
    if not verdict.ready:
        raise CommandError(
            f"{verdict.words}, and the step between is not declared compatible: with the image that knows "
            f"{present[0]}, run flask db downgrade {min(ours)}"
        )
    return True


def changes_schema() -> bool:
    """Tell whether the command moves the schema (upgrade, downgrade, stamp), and does not only look at it."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def run_offline() -> None:
    """Write the SQL that a command would run (`--sql`)."""
    settings: Settings = current_app.extensions["settings"]
    context.configure(url=settings.database_url, target_metadata=db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run() -> None:
    """Run a command on the database: wait for it, take the lock, and change all or nothing."""
    settings: Settings = current_app.extensions["settings"]
    engine = engine_for(
        settings,
        settings.database_url,
        lock_timeout=milliseconds(settings.migration_lock_timeout),
        statement_timeout=milliseconds(settings.migration_statement_timeout),
    )
    try:
        wait_for_server(engine, settings.migration_database_wait)
        if not changes_schema():
            with engine.connect() as connection:
                configure(connection)
                with context.begin_transaction():
                    context.run_migrations()
            return
        with engine.connect() as connection:
            require_rights(connection)
        with locked(settings):
            change(engine, settings)
    finally:
        engine.dispose()


def configure(connection: Connection) -> None:
    """Tell Alembic what to compare with and whom to tell about each step."""
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        compare_type=True,
        on_version_apply=record_step,
        process_revision_directives=skip_empty if is_autogenerate() else None,
    )


def is_autogenerate() -> bool:
    """Tell whether a new revision is being made from the models."""
    return bool(getattr(context.config.cmd_opts, "autogenerate", False))


def skip_empty(_context: MigrationContext, _revision: Any, directives: list[Any]) -> None:
    """Make no revision when the models and the database agree."""
    if directives[0].upgrade_ops.is_empty():
        directives.clear()
        log.info("the models and the database agree")


def change(engine: Engine, settings: Settings) -> None:
    """Move the schema in one transaction; raise `CommandError` when a lock or a statement took too long."""
    began = time.monotonic()
    try:
        with engine.connect() as connection:
            configure(connection)
            versions = context.get_context().get_current_heads
            before = versions()
            if is_newer_and_compatible(connection, before, schema.heads()):
                log.info("the schema is newer than this image and compatible, nothing to do", revision=list(before))
                return
            # Reading began a transaction, and Alembic commits only one that it began itself.
            connection.rollback()
            with context.begin_transaction():
                context.run_migrations()
            after = versions()
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state == "55P03":
            raise CommandError(
                f"a table stayed locked by another session for {settings.migration_lock_timeout:g} s, and nothing was "
                "changed: let that session end, or wait longer with MIGRATION_LOCK_TIMEOUT, and run this again"
            ) from None
        if state == "57014":
            raise CommandError(
                f"a statement ran for more than {settings.migration_statement_timeout:g} s, and nothing was changed: "
                "allow more with MIGRATION_STATEMENT_TIMEOUT, and run this again"
            ) from None
        raise
    log.info(
        "schema is up to date" if before == after else "schema changed",
        before=list(before),
        after=list(after),
        seconds=round(time.monotonic() - began, 2),
    )
