"""`flask audit`: reads the audit log, and looks whether it is whole."""

from __future__ import annotations

import json

import click
from alembic.util import CommandError
from flask.cli import AppGroup

from .. import audit
from ..listing import stamp
from ..release import explained

commands = AppGroup("audit", help="The log of what happened about signing in.")


@commands.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many at most.")
@click.option("--event", type=click.Choice(audit.EVENTS), help="Only these.")
@explained
def show(*, limit: int, event: str | None) -> None:
    """Show the newest events as JSON, one a line, newest first."""
    with audit.engine().connect() as connection:
        for row in audit.newest(connection, limit, event=event):
            told = {name: value for name, value in row.items() if name != "seal" and value not in (None, {})}
            click.echo(json.dumps({name: stamp(value) for name, value in told.items()}, default=str))


@commands.command("verify")
@explained
def verify() -> None:
    """Look whether every event is there and as it was written; exit code 1 when not."""
    with audit.engine().connect() as connection:
        if connection.dialect.name != "postgresql":
            raise CommandError("only PostgreSQL seals the log")
        wrong = audit.broken_at(connection)
        newest = audit.newest(connection, 1)
    if wrong is not None:
        raise CommandError(f"the audit log is not as it was written: look at event {wrong} and the one before it")
    words = f"all {newest[0]['id']} events, the last with seal {newest[0]['seal'].hex()[:16]}" if newest else "no event"
    click.echo(f"The audit log is whole: {words}.")
