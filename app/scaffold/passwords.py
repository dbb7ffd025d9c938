"""Passwords of local accounts."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import Boolean, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from . import guessable
from .database import Model, db
from .hashing import Hashing, Place, is_outdated
from .moments import Moment, now
from .settings import Settings
from .users import User

# How long a password is good for that a command made, for the one sign-in in which it is changed.
ISSUED_FOR = timedelta(hours=72)


class Password(Model):
    """A user's password; one that somebody else chose is good for one sign-in, in which it is changed."""

    __tablename__ = "passwords"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    hash: Mapped[str] = mapped_column(String(255))
    must_change: Mapped[bool] = mapped_column(Boolean)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)


def hashing() -> Hashing:
    """Return this process's hashing, made at the first password: its threads would not survive a fork."""
    found: Hashing | None = current_app.extensions.get("hashing")
    if found is None:
        found = current_app.extensions.setdefault("hashing", Hashing())
    return found


def of_user(user_id: uuid.UUID) -> Password | None:
    """Return a user's password."""
    return db.session.get(Password, user_id)


def is_right(user: User | None, given: str, place: Place) -> bool:
    """Tell whether a password is a user's; it takes as long for nobody's. Raise `Busy`.

    No connection to the database is held meanwhile. What was kept with other parameters is made anew, and committed.
    """
    password = of_user(user.id) if user is not None else None
    kept = password.hash if password is not None else None
    lapsed = password is not None and password.expires_at is not None and password.expires_at <= now()
    # A longer one was never taken, and hashing it would only cost.
    too_long = len(given) > guessable.LONGEST
    db.session.rollback()
    same = place.verify(kept, given[: guessable.LONGEST])
    if not same or too_long or lapsed or user is None or kept is None:
        return False
    if is_outdated(kept):
        renewed = place.hash(given)
        password = of_user(user.id)
        if password is not None and password.hash == kept:
            password.hash = renewed
        db.session.commit()
    return True


def choose(user: User, chosen: str) -> None:
    """Give a user the password that they chose; the caller has looked at it, and commits. Raise `Busy`."""
    with hashing().place() as place:
        hashed = place.hash(chosen)
    keep(user.id, hashed, must_change=False, expires_at=None)


def issue(user: User) -> str:
    """Give a user a password for one sign-in, and return it; the caller commits."""
    issued = secrets.token_urlsafe(18)
    with hashing().place() as place:
        hashed = place.hash(issued)
    keep(user.id, hashed, must_change=True, expires_at=now() + ISSUED_FOR)
    return issued


def keep(user_id: uuid.UUID, hashed: str, *, must_change: bool, expires_at: datetime | None) -> None:
    """Write down a hash in place of the one before; the caller commits."""
    password = of_user(user_id)
    if password is None:
        password = Password(user_id=user_id)
        db.session.add(password)
    password.hash, password.must_change, password.expires_at = hashed, must_change, expires_at
    password.changed_at = now()
    db.session.flush()


def weakness(user: User, chosen: str) -> str | None:
    """Say why a user must not choose a password, or None when they may."""
    settings: Settings = current_app.extensions["settings"]
    known = (settings.site_name, settings.site_url, user.email or "", user.display_name or "")
    return guessable.weakness(chosen, known)
