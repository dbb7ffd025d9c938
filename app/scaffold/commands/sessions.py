"""`flask sessions`: signs people out."""

from __future__ import annotations

import click
from alembic.util import CommandError
from flask.cli import AppGroup

from .. import audit, sessions
from ..database import db
from ..release import explained
from .person import by, named

commands = AppGroup("sessions", help="Who is signed in.")


@commands.command("revoke")
@click.option("--user", "words", help="A person's address or id.")
@click.option("--all", "everybody", is_flag=True, help="Everybody.")
@by
@explained
def revoke(*, words: str | None, everybody: bool, by: str) -> None:
    """End the sessions of one person, or of everybody, at once and on every replica."""
    if bool(words) == everybody:
        raise CommandError("got neither or both of --user and --all; wanted one of them")
    user_id = named(words).id if words else None
    ended = sessions.end_all(user_id)
    db.session.commit()
    detail = {"by": by, "sessions": str(ended)}
    audit.record("session_revoked", user_id=user_id, method="command", reason="by_command", detail=detail)
    click.echo(f"Sessions that were ended: {ended}.")
