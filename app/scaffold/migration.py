"""Schema migrations: one at a time on a server, with bounded waits, and all or nothing."""

from __future__ import annotations

from alembic import context
from alembic.util import CommandError
from flask import Flask, current_app
from flask_migrate import Migrate
from sqlalchemy import text
from sqlalchemy.engine import Connection

from . import (
    audit,
    breakglass,
    lock,
    passwords,
    pending,
    releases,
    schema,
    server,
    sessions,
    steps,
    throttle,
    users,
)
from .database import db
from .factors import passkeys, recovery_codes, totp
from .move import Move
from .saml import tables as saml_tables
from .settings import Settings

TABLES = (
    users.User,
    users.KnownAs,
    schema.SchemaStep,
    releases.Release,
    sessions.Row,
    audit.AuditEvent,
    audit.EventCount,
    passwords.Password,
    pending.PendingSignIn,
    totp.Totp,
    recovery_codes.RecoveryCode,
    passkeys.Passkey,
    passkeys.Challenge,
    throttle.Throttle,
    breakglass.Opening,
    saml_tables.Transaction,
    saml_tables.ConsumedMessage,
    saml_tables.Provider,
    saml_tables.TrustedCertificate,
)


def init_app(app: Flask) -> None:
    """Add Flask-Migrate's `flask db` commands."""
    Migrate(app, db, directory=str(schema.DIRECTORY), render_as_batch=False)


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


def require_declarations() -> None:
    """Raise `CommandError` naming every revision that does not say whether the release before it can live with it."""
    problems = schema.undeclared()
    if problems:
        raise CommandError(f"nothing was changed: {'; '.join(problems)}")


def run_offline() -> None:
    """Write the SQL that a command would run (`--sql`)."""
    settings: Settings = current_app.extensions["settings"]
    context.configure(url=settings.database_url, target_metadata=db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run() -> None:
    """Run a command on the database: wait for it, take the lock, and change all or nothing."""
    settings: Settings = current_app.extensions["settings"]
    step = steps.of_command()
    if step == "upgrade":
        require_declarations()
    engine = server.engine_for(
        settings,
        settings.database_url,
        lock_timeout=server.milliseconds(settings.migration_lock_timeout),
        statement_timeout=server.milliseconds(settings.migration_statement_timeout),
    )
    try:
        server.wait_for(engine, settings.migration_database_wait)
        if not steps.changes_schema():
            with engine.connect() as connection:
                steps.configure(connection)
                with context.begin_transaction():
                    context.run_migrations()
            return
        with engine.connect() as connection:
            require_rights(connection)
        with lock.held(settings):
            Move(engine, settings, step).make()
    finally:
        engine.dispose()
