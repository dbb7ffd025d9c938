"""`flask release`: says that a release serves, and shows the ledger."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from functools import wraps

import click
import structlog
from alembic.util import CommandError
from flask import Flask, current_app
from flask.cli import AppGroup
from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from . import database, ledger, listing, lock, releases, schema, server
from .settings import NO_RELEASE, Settings

log = structlog.stdlib.get_logger(__name__)
commands = AppGroup("release", help="The ledger of releases.")

NARROWEST, SHOWN = 100, 50
PATIENCE = "10s"
NONE_YET = "the schema has no ledger: `flask db upgrade` of an image that knows it makes it"


def init_app(app: Flask) -> None:
    """Add the commands."""
    app.cli.add_command(commands)


def explained(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command end with a line that says what is wrong, and exit code 1."""

    @wraps(command)
    def run(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except CommandError as error:
            problem = str(error)
        except DBAPIError as error:
            problem = f"the database could not be asked: {database.reason(error)}"
        else:
            return
        log.error(f"Error: {problem}")
        sys.exit(1)

    return run


@commands.command("served")
@explained
def served() -> None:
    """Say in the ledger that RELEASE serves now, and what became of the others."""
    settings: Settings = current_app.extensions["settings"]
    if settings.release == NO_RELEASE:
        raise CommandError("RELEASE: got nothing; wanted the id of the release that serves")
    engine = server.engine_for(
        settings,
        settings.database_url,
        lock_timeout=server.milliseconds(settings.migration_lock_timeout),
        statement_timeout=PATIENCE,
    )
    try:
        server.wait_for(engine, settings.migration_database_wait)
        with engine.connect() as connection:
            if not releases.exists(connection):
                log.warning("not recorded: " + NONE_YET)
                return
            require_rights(connection)
        with lock.held(settings):
            changes = server.patiently(settings, lambda: serve(engine, settings))
    finally:
        engine.dispose()
    log.info("the release serves" if changes else "the release serves: nothing changed", changes=len(changes))


def require_rights(connection: Connection) -> None:
    """Raise `CommandError` when the role may not write the ledger."""
    if connection.dialect.name != "postgresql":
        return
    role, allowed = connection.execute(
        text(
            "SELECT current_user, has_table_privilege('releases', 'INSERT') "
            "AND has_table_privilege('releases', 'UPDATE')"
        )
    ).one()
    if not allowed:
        raise CommandError(f'role "{role}" may only read the ledger: run this with the URL of the schema\'s owner')


def serve(engine: Engine, settings: Settings) -> list[ledger.Change]:
    """Change the ledger, all or nothing, and return what was changed."""
    with engine.begin() as connection:
        changes = ledger.serve(releases.rows(connection), settings.release)
        now = releases.schema_words(schema.present(connection))
        releases.write(connection, settings, changes, before=now, after=now)
    return changes


@commands.command("list")
@click.option("--json", "as_json", is_flag=True, help="All fields, for programs.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=SHOWN, show_default=True, help="How many at most.")
@explained
def show(*, as_json: bool, limit: int) -> None:
    """Show the ledger, newest first; the app's own role may do that too."""
    settings: Settings = current_app.extensions["settings"]
    engine = server.engine_for(settings, settings.database_url, lock_timeout=PATIENCE, statement_timeout=PATIENCE)
    try:
        with engine.connect() as connection:
            rows = releases.newest(connection, limit) if releases.exists(connection) else None
    finally:
        engine.dispose()
    if as_json:
        click.echo(listing.document(rows or []))
    elif rows:
        click.echo(listing.table(rows, shutil.get_terminal_size((NARROWEST, 24)).columns))
    else:
        click.echo("No release is in the ledger yet." if rows is not None else f"{NONE_YET[0].upper()}{NONE_YET[1:]}.")
