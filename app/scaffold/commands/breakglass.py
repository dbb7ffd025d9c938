"""`flask breakglass`: lets one local account sign in with its password for a time, where nothing else does."""

from __future__ import annotations

import click
from alembic.util import CommandError
from flask.cli import AppGroup

from .. import audit, breakglass, passwords, sessions
from ..database import db
from ..release import explained
from .person import by, local

commands = AppGroup("breakglass", help="Let a local account in for a time, without the identity provider.")

SHORTEST_REASON = 10
MOST_MINUTES = int(breakglass.LONGEST.total_seconds() // 60)
SHOWN = 10


@commands.command("open")
@click.option("--user", "words", required=True, help="The account's address or id.")
@click.option("--minutes", type=click.IntRange(1, MOST_MINUTES), default=30, show_default=True, help="For how long.")
@click.option("--reason", required=True, help="Why; it is kept in the audit log.")
@by
@explained
def open_(*, words: str, minutes: int, reason: str, by: str) -> None:
    """Let an account in from now on, on every replica; it closes by itself."""
    if len(reason.strip()) < SHORTEST_REASON:
        raise CommandError(f"--reason: got {reason!r}; wanted what happened, in {SHORTEST_REASON} characters or more")
    user = local(words)
    if user.disabled_at is not None:
        raise CommandError(f"{user.email} is disabled: `flask users enable {user.email}` first")
    if passwords.of_user(user.id) is None:
        raise CommandError(f"{user.email} has no password: `flask users password {user.email}` first")
    opening = breakglass.open_for(user, minutes, reason.strip(), by)
    user_id, email, until = user.id, user.email, opening.until
    detail = {"opening": str(opening.id), "minutes": str(minutes), "by": by, "reason": reason.strip()}
    db.session.commit()
    audit.record("authn_break_glass_opened", user_id=user_id, method="command", detail=detail)
    click.echo(f"{email} may sign in with a password until {until:%H:%M} UTC. Close it with: flask breakglass close")


@commands.command("close")
@click.option("--user", "words", help="The account's address or id; without it, all that is open is closed.")
@by
@explained
def close(*, words: str | None, by: str) -> None:
    """Close what is open, and end the sessions of those who were let in."""
    user = local(words) if words else None
    closed = breakglass.close(user.id if user else None)
    ended = sum(sessions.end_all(user_id) for user_id in closed)
    db.session.commit()
    for user_id in closed:
        audit.record("authn_break_glass_closed", user_id=user_id, method="command", detail={"by": by})
    click.echo(f"Closed: {len(closed)}. Sessions that were ended: {ended}." if closed else "Nothing was open.")


@commands.command("status")
@explained
def status() -> None:
    """Show what is open, and what was opened lately."""
    rows = breakglass.newest(SHOWN)
    if not rows:
        click.echo("Break-glass access was never opened.")
    for opening, user in rows:
        words = "OPEN  " if opening.is_open else "closed"
        until = f"{opening.closed_at or opening.until:%Y-%m-%d %H:%M}"
        click.echo(
            f"{words}  {user.email}  {opening.opened_at:%Y-%m-%d %H:%M} to {until} UTC  "
            f"by {opening.opened_by}: {opening.reason}"
        )
