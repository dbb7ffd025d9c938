"""Break-glass access: passwords let in for a time by whoever may run commands, for when nothing else does."""

from __future__ import annotations

import ipaddress
import uuid
from datetime import datetime, timedelta

from flask import current_app, request
from sqlalchemy import ColumnElement, ForeignKey, String, select, update
from sqlalchemy.orm import Mapped, mapped_column

from .database import Model, db
from .moments import Moment, now
from .settings import Settings
from .users import User

LONGEST = timedelta(minutes=60)
# A session that began so is short, whatever else holds.
IDLE, ABSOLUTE = timedelta(minutes=15), timedelta(minutes=60)
LONGEST_REASON = 500


class Opening(Model):
    """A time in which one local account may sign in with its password, who opened it, and why."""

    __tablename__ = "break_glass_openings"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    opened_at: Mapped[datetime] = mapped_column(Moment)
    until: Mapped[datetime] = mapped_column(Moment, index=True)
    closed_at: Mapped[datetime | None] = mapped_column(Moment)
    opened_by: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(String(500))

    @property
    def is_open(self) -> bool:
        """Whether it is open now."""
        return self.closed_at is None and self.until > now()


def is_let_in_from_here() -> bool:
    """Tell whether this request comes from where passwords are taken from."""
    settings: Settings = current_app.extensions["settings"]
    try:
        client = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return False
    return any(client in network for network in settings.password_login_networks)


def is_password_taken() -> bool:
    """Tell whether anybody may sign in with a password now, as a setting says or because it was opened for somebody."""
    settings: Settings = current_app.extensions["settings"]
    if not is_let_in_from_here():
        return False
    return (
        settings.password_login_enabled or db.session.scalar(select(Opening.id).where(*open_now()).limit(1)) is not None
    )


def is_taken_of(user_id: uuid.UUID) -> bool:
    """Tell whether a user may sign in with a password now."""
    settings: Settings = current_app.extensions["settings"]
    if not is_let_in_from_here():
        return False
    return settings.password_login_enabled or opening_of(user_id) is not None


def open_now() -> tuple[ColumnElement[bool], ...]:
    """Return what holds of an opening that is open."""
    return (Opening.closed_at.is_(None), Opening.until > now())


def opening_of(user_id: uuid.UUID) -> Opening | None:
    """Return a user's opening that is open."""
    chosen = select(Opening).where(Opening.user_id == user_id, *open_now()).order_by(Opening.until.desc()).limit(1)
    return db.session.scalar(chosen)


def open_for(user: User, minutes: int, reason: str, opened_by: str) -> Opening:
    """Let a user in for so many minutes from now, in place of what was open for them; the caller commits."""
    at = now()
    close(user.id)
    opening = Opening(
        user_id=user.id,
        opened_at=at,
        until=at + min(timedelta(minutes=minutes), LONGEST),
        opened_by=opened_by[:128],
        reason=reason[:LONGEST_REASON],
    )
    db.session.add(opening)
    db.session.flush()
    return opening


def close(user_id: uuid.UUID | None = None) -> list[uuid.UUID]:
    """Close what is open for a user, or for everybody, and return whose it was; the caller commits."""
    chosen = update(Opening).where(*open_now())
    if user_id is not None:
        chosen = chosen.where(Opening.user_id == user_id)
    closed = chosen.values(closed_at=now()).returning(Opening.user_id)
    return [row.user_id for row in db.session.execute(closed.execution_options(synchronize_session=False))]


def newest(count: int) -> list[tuple[Opening, User]]:
    """Return the newest openings with whose they are, newest first."""
    chosen = (
        select(Opening, User).join(User, User.id == Opening.user_id).order_by(Opening.opened_at.desc()).limit(count)
    )
    return [(opening, user) for opening, user in db.session.execute(chosen)]
