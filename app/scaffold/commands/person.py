"""Who a command is about, and who runs it."""

from __future__ import annotations

import getpass
import uuid

import click
from alembic.util import CommandError
from sqlalchemy import func, select

from ..database import db
from ..users import User


def named(words: str) -> User:
    """Return the user with an id or an address; raise `CommandError` when it is nobody's, or more than one's."""
    try:
        found = [user for user in [db.session.get(User, uuid.UUID(words))] if user is not None]
    except ValueError:
        found = list(db.session.scalars(select(User).where(func.lower(User.email) == words.lower()).limit(10)))
    if not found:
        raise CommandError(f"nobody has the address or the id {words!r}: `flask users list` shows everybody")
    if len(found) > 1:
        ids = ", ".join(str(user.id) for user in found)
        raise CommandError(f"{len(found)} people have the address {words!r}: name one by its id, of {ids}")
    return found[0]


def local(words: str) -> User:
    """Return the local account with an id or an address; raise `CommandError` for anybody else's."""
    try:
        user = db.session.get(User, uuid.UUID(words))
    except ValueError:
        user = db.session.scalar(select(User).where(func.lower(User.email) == words.lower(), User.local))
    if user is None or not user.local:
        raise CommandError(f"no local account has the address or the id {words!r}: make one with `flask users add`")
    return user


def runner() -> str:
    """Return who runs this, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


by = click.option("--by", default=runner, show_default="whoever runs this", help="Who asked for it, for the log.")
