"""Signing in half done: the password was right, and more is to come before anybody is signed in."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Literal

from flask import session
from sqlalchemy import ForeignKey, LargeBinary, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from .database import Model, db
from .moments import Moment, now
from .users import User

LIFETIME = timedelta(minutes=10)
KEPT = "pending"

Step = Literal["factor", "password", "enrol", "done"]


class PendingSignIn(Model):
    """Whose password was right at which browser, and which second factor; it opens nothing but the next steps."""

    __tablename__ = "pending_sign_ins"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    factor: Mapped[str | None] = mapped_column(String(16))
    expires_at: Mapped[datetime] = mapped_column(Moment)


def next_step(*, has_factor: bool, passed: bool, must_change: bool) -> Step:
    """Return what comes next: whoever has a second factor shows it before anything is changed."""
    if has_factor and not passed:
        return "factor"
    if must_change:
        return "password"
    return "done" if passed else "enrol"


def begin(user: User) -> None:
    """Note that the password was right at this browser, in place of what it had begun before; commits."""
    forget()
    sweep()
    token = secrets.token_urlsafe(32)
    db.session.add(PendingSignIn(digest=digest(token), user_id=user.id, expires_at=now() + LIFETIME))
    db.session.commit()
    session[KEPT] = token


def current() -> tuple[PendingSignIn, User] | None:
    """Return what this browser has begun, and who it is."""
    token = session.get(KEPT)
    if not isinstance(token, str):
        return None
    found = db.session.execute(
        select(PendingSignIn, User)
        .join(User, User.id == PendingSignIn.user_id)
        .where(PendingSignIn.digest == digest(token), PendingSignIn.expires_at > now(), User.disabled_at.is_(None))
    ).first()
    return (found[0], found[1]) if found else None


def finish(pending: PendingSignIn) -> bool:
    """End what was begun and tell whether it was there: of two requests at once one signs in. The caller commits."""
    chosen = delete(PendingSignIn).where(PendingSignIn.digest == pending.digest).returning(PendingSignIn.digest)
    session.pop(KEPT, None)
    return db.session.execute(chosen.execution_options(synchronize_session=False)).first() is not None


def forget() -> None:
    """Give up what this browser has begun; the caller commits."""
    token = session.pop(KEPT, None)
    if isinstance(token, str):
        db.session.execute(delete(PendingSignIn).where(PendingSignIn.digest == digest(token)))


def sweep() -> None:
    """Delete what was begun and never ended; the caller commits."""
    stale = select(PendingSignIn.digest).where(PendingSignIn.expires_at <= now()).limit(100)
    chosen = delete(PendingSignIn).where(PendingSignIn.digest.in_(stale.with_for_update(skip_locked=True)))
    db.session.execute(chosen.execution_options(synchronize_session=False))


def digest(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()
