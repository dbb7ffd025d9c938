"""Who is signed in: a row for each browser, found by a random id of which only a digest is kept."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, request
from sqlalchemy import ForeignKey, Index, LargeBinary, Select, String, bindparam, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from . import audit, database
from .database import Model, db
from .moments import Moment, now
from .settings import Settings
from .users import User

log = structlog.stdlib.get_logger(__name__)

IDLE, ABSOLUTE = timedelta(minutes=30), timedelta(hours=12)
# Written down at most this often, so that a page does not cost a write.
SEEN_EVERY = timedelta(minutes=1)
BYTES = 32
SWEPT_AT_ONCE = 100

SetCookie = Callable[[Response], Response]


class Row(Model):
    """A session as the database has it."""

    __tablename__ = "sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    method: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(Moment)
    # When whoever sits there last proved who they are; changing a factor asks for it to be a short while ago.
    proved_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
    idle_seconds: Mapped[int]
    issuer: Mapped[str | None] = mapped_column(String(255))
    name_id: Mapped[str | None] = mapped_column(String(255))
    session_index: Mapped[str | None] = mapped_column(String(255))
    address: Mapped[str] = mapped_column(String(45))
    agent: Mapped[str] = mapped_column(String(200))

    __table_args__ = (Index("ix_sessions_name_id", "issuer", "name_id", "session_index"),)


def look_up_statement() -> Select[Any]:
    """Return the statement that each page of somebody who is signed in costs: made once, and of plain columns."""
    session, user = Row.__table__.c, User.__table__.c
    return (
        select(
            session.id, session.user_id, session.method, session.created_at, session.seen_at, session.proved_at,
            session.expires_at, session.idle_seconds, session.issuer, session.name_id, session.session_index,
            user.email, user.display_name, user.roles, user.local, user.disabled_at,
        )
        .join_from(Row.__table__, User.__table__, user.id == session.user_id)
        .where(session.digest == bindparam("digest"))
    )  # fmt: skip


LOOK_UP = look_up_statement()


@dataclass(frozen=True)
class Session:
    """Who sits at this browser, and how they came in."""

    id: uuid.UUID
    user_id: uuid.UUID
    name: str
    email: str | None
    roles: tuple[str, ...]
    local: bool
    method: str
    created_at: datetime
    seen_at: datetime
    proved_at: datetime
    expires_at: datetime
    idle_seconds: int
    issuer: str | None
    name_id: str | None
    session_index: str | None

    @property
    def over(self) -> bool:
        """Whether it is too old, or was left alone for too long."""
        at = now()
        return at >= self.expires_at or at >= self.seen_at + timedelta(seconds=self.idle_seconds)

    def has(self, role: str) -> bool:
        """Tell whether the person has a role."""
        return role in self.roles

    def proved_within(self, time: timedelta) -> bool:
        """Tell whether whoever sits there has proved who they are within a time."""
        return now() - self.proved_at <= time


def cookie_name(settings: Settings) -> str:
    """Return the cookie's name; a browser takes the prefix only from a secure origin, and then for this host alone."""
    return "__Host-scaffold_session" if settings.https else "scaffold_session"


def digest(token: str) -> bytes:
    """Return what is kept of an id: whoever reads the database cannot sign in with it."""
    return hashlib.sha256(token.encode()).digest()


def start(
    user: User,
    *,
    method: str,
    expires_at: datetime | None = None,
    name_id: str | None = None,
    session_index: str | None = None,
    issuer: str | None = None,
    idle: timedelta = IDLE,
    absolute: timedelta = ABSOLUTE,
) -> SetCookie:
    """Begin a session for a user and return what gives its cookie to a response, to be called once that is committed.

    The id is a new one, and the session that this browser had before is gone: an id from before a login is worth
    nothing after it. It ends with `expires_at` at the latest. The caller commits.
    """
    token = secrets.token_urlsafe(BYTES)
    at = now()
    latest = at + absolute
    forget(token_of_request())
    sweep(at)
    db.session.add(
        Row(
            digest=digest(token),
            user_id=user.id,
            method=method,
            created_at=at,
            seen_at=at,
            proved_at=at,
            expires_at=min(latest, expires_at) if expires_at else latest,
            idle_seconds=int(idle.total_seconds()),
            issuer=issuer,
            name_id=name_id,
            session_index=session_index,
            address=(request.remote_addr or "")[:45],
            agent=request.headers.get("User-Agent", "")[:200],
        )
    )
    db.session.flush()
    g.pop("session", None)
    user_id = user.id

    def give(response: Response) -> Response:
        audit.record("session_created", user_id=user_id, method=method)
        set_cookie(response, token)
        return response

    return give


def renew() -> SetCookie:
    """Give this browser's session a new id, as what it may do has changed; the caller commits."""
    token = secrets.token_urlsafe(BYTES)
    old = token_of_request()
    if old is not None:
        values = {"digest": digest(token), "proved_at": now()}
        db.session.execute(update(Row).where(Row.digest == digest(old)).values(**values))
    g.pop("session", None)
    return lambda response: set_cookie(response, token)


def end() -> SetCookie:
    """End this browser's session and return what takes its cookie from a response; it is committed here."""
    session = current()
    forget(token_of_request())
    db.session.commit()
    g.session = None
    if session is not None:
        audit.record("session_ended", user_id=session.user_id, method=session.method)
    return clear_cookie


def end_by_name_id(name_id: str, session_index: str | None, issuer: str) -> list[uuid.UUID]:
    """End the sessions that an identity provider means and return whose each was; without an index all of that name's.

    The caller commits.
    """
    chosen = delete(Row).where(Row.issuer == issuer, Row.name_id == name_id)
    if session_index is not None:
        chosen = chosen.where(Row.session_index == session_index)
    return list(db.session.execute(chosen.returning(Row.user_id)).scalars())


def end_all(user_id: uuid.UUID | None = None, *, but: uuid.UUID | None = None) -> int:
    """End a user's sessions, or everybody's, but for one; return how many. The caller commits."""
    chosen = delete(Row)
    if user_id is not None:
        chosen = chosen.where(Row.user_id == user_id)
    if but is not None:
        chosen = chosen.where(Row.id != but)
    return len(db.session.execute(chosen.returning(Row.id)).all())


def end_one(user_id: uuid.UUID, session_id: uuid.UUID) -> bool:
    """End one of a user's own sessions and tell whether it was there; the caller commits."""
    chosen = delete(Row).where(Row.user_id == user_id, Row.id == session_id)
    return bool(db.session.execute(chosen.returning(Row.id)).all())


def of_user(user_id: uuid.UUID) -> list[Row]:
    """Return a user's sessions that are not over, the last seen first."""
    at = now()
    found = db.session.scalars(
        select(Row).where(Row.user_id == user_id, Row.expires_at > at).order_by(Row.seen_at.desc(), Row.id)
    )
    return [row for row in found if row.seen_at + timedelta(seconds=row.idle_seconds) > at]


def current() -> Session | None:
    """Return who sits at this browser; it is looked up when first asked for, with one query."""
    if "session" not in g:
        g.session = look_up(token_of_request())
    found: Session | None = g.session
    return found


def seems_there() -> bool:
    """Tell whether somebody is signed in at this browser, as far as that can be told without a query."""
    if "session" in g:
        return g.session is not None
    return token_of_request() is not None


def look_up(token: str | None) -> Session | None:
    """Return the session of an id, unless it is over or its user is kept out."""
    if token is None:
        return None
    found = db.session.execute(LOOK_UP, {"digest": digest(token)}).first()
    if found is None:
        return None
    values = dict(found._mapping)
    display_name, disabled_at = values.pop("display_name"), values.pop("disabled_at")
    name = display_name or values["email"] or str(values["user_id"])
    session = Session(**values | {"name": name, "roles": tuple(values["roles"])})
    if disabled_at is not None:
        return None
    if session.over:
        g.session_over = session
        return None
    if now() - session.seen_at >= SEEN_EVERY:
        g.session_seen = session.id
    return session


def token_of_request() -> str | None:
    """Return the id that the browser sent, when it looks like one."""
    settings: Settings = current_app.extensions["settings"]
    token = request.cookies.get(cookie_name(settings))
    return token if token and len(token) <= 64 and token.isascii() else None


def forget(token: str | None) -> None:
    """Delete the session of an id; the caller commits."""
    if token is not None:
        db.session.execute(delete(Row).where(Row.digest == digest(token)))


def sweep(at: datetime) -> None:
    """Delete some of those that are over, and wait for nobody who does the same; the caller commits."""
    stale = select(Row.id).where(Row.expires_at <= at).limit(SWEPT_AT_ONCE).with_for_update(skip_locked=True)
    db.session.execute(delete(Row).where(Row.id.in_(stale)).execution_options(synchronize_session=False))


def set_cookie(response: Response, token: str) -> Response:
    """Give the browser an id; the cookie ends with the browser, and the row ends by itself."""
    settings: Settings = current_app.extensions["settings"]
    name = cookie_name(settings)
    response.set_cookie(name, token, path="/", secure=settings.https, httponly=True, samesite="Lax")
    return response


def clear_cookie(response: Response) -> Response:
    """Take the id from the browser."""
    settings: Settings = current_app.extensions["settings"]
    name = cookie_name(settings)
    response.delete_cookie(name, path="/", secure=settings.https, httponly=True, samesite="Lax")
    return response


def write_down(response: Response) -> Response:
    """Note that somebody was seen, or that their session is over; what the view left uncommitted is given up first."""
    seen, over = g.pop("session_seen", None), g.pop("session_over", None)
    if seen is None and over is None:
        return response
    try:
        db.session.rollback()
        if over is not None:
            deleted = db.session.execute(delete(Row).where(Row.id == over.id).returning(Row.id)).first()
        else:
            deleted = None
            db.session.execute(update(Row).where(Row.id == seen).values(seen_at=now()))
        db.session.commit()
    except SQLAlchemyError as error:
        db.session.rollback()
        log.warning("a session was not written down", error=database.reason(error))
        return response
    if deleted is not None:
        audit.record("session_expired", user_id=over.user_id, method=over.method)
    return response


def init_app(app: Flask, settings: Settings) -> None:
    """Write down who was seen. Flask's own session is a cookie signed with SECRET_KEY, and holds what forms need.

    Keys in SECRET_KEY_FALLBACKS still verify what they signed; nobody's being signed in depends on any key.
    """
    app.secret_key = settings.secret_key
    app.config.update(
        SECRET_KEY_FALLBACKS=list(settings.secret_key_fallbacks) or None,
        SESSION_COOKIE_NAME="__Host-scaffold_form" if settings.https else "scaffold_form",
        SESSION_COOKIE_SECURE=settings.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        MAX_CONTENT_LENGTH=10 * 1024 * 1024,
    )
    app.after_request(write_down)
    app.template_global("signed_in")(seems_there)
