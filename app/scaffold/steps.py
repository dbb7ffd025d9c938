"""Alembic as this app has it: what it compares with, what a command asks of it, and where the schema is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import click
import structlog
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script
from flask import current_app
from sqlalchemy import inspect
from sqlalchemy.engine import Connection, Engine

from . import ledger, schema
from .database import db
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)


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


def changes_schema() -> bool:
    """Tell whether the command moves the schema (upgrade, downgrade, stamp), and does not only look at it."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def of_command() -> ledger.Step | None:
    """Return which way the command moves the schema; None for one that only says where it is, such as stamp."""
    command = click.get_current_context(silent=True)
    names: dict[str | None, ledger.Step] = {"upgrade": "upgrade", "downgrade": "downgrade"}
    return names.get(command.info_name) if command else None


def present(engine: Engine) -> tuple[str, ...]:
    """Return the schema's revisions."""
    with engine.connect() as connection:
        there = inspect(connection).has_table("alembic_version")
        return tuple(schema.present(connection)) if there else ()


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
