"""What happened about signing in: a table that is only ever added to, a line in the log, and a count of each kind."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, get_args

import structlog
from flask import Flask, current_app, has_request_context, request
from sqlalchemy import BigInteger, Integer, LargeBinary, String, create_engine, func, insert, select, text
from sqlalchemy.engine import Connection, Engine, RowMapping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import FetchedValue

from . import address, database, request_id
from .database import Model
from .moments import Moment, now
from .settings import Settings
from .users import Names, User

log = structlog.stdlib.get_logger("scaffold.audit")

# OWASP's logging vocabulary, and in its manner what it has no word for.
Event = Literal[
    "authn_login_success",
    "authn_login_fail",
    "authn_login_lock",
    "authn_login_unlock",
    "authn_logout",
    "authn_logout_fail",
    "authn_mfa_success",
    "authn_mfa_fail",
    "authn_mfa_lock",
    "authn_recovery_code_used",
    "authn_factor_added",
    "authn_factor_removed",
    "authn_factor_key_changed",
    "authn_password_change",
    "authn_password_change_fail",
    "authn_reauthenticated",
    "authn_break_glass_opened",
    "authn_break_glass_closed",
    "authn_break_glass_used",
    "authn_idp_changed",
    "authn_idp_unreachable",
    "authz_fail",
    "privilege_permissions_changed",
    "session_created",
    "session_ended",
    "session_expired",
    "session_revoked",
    "user_created",
    "user_disabled",
    "user_enabled",
    "malicious_csrf",
]
EVENTS: tuple[Event, ...] = get_args(Event)

CODE = re.compile(r"[a-z0-9][a-z0-9_+.-]{0,63}")
NOTHING: Mapping[str, str] = MappingProxyType({})
LONGEST_DETAIL = 500
PATIENCE = "5s"


class AuditEvent(Model):
    """One event. PostgreSQL numbers the rows and seals each with a digest of itself and of the one before it."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), FetchedValue(), primary_key=True, autoincrement=True
    )
    at: Mapped[datetime] = mapped_column(Moment)
    event: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    method: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(45))
    release: Mapped[str] = mapped_column(String(128))
    detail: Mapped[dict[str, str]] = mapped_column(Names)
    seal: Mapped[bytes | None] = mapped_column(LargeBinary)


class EventCount(Model):
    """How often each kind of event happened; the database counts when a row is added, whichever process adds it."""

    __tablename__ = "event_counts"

    event: Mapped[str] = mapped_column(String(64), primary_key=True)
    method: Mapped[str] = mapped_column(String(64), primary_key=True)
    reason: Mapped[str] = mapped_column(String(64), primary_key=True)
    total: Mapped[int] = mapped_column(BigInteger)


def record(
    event: Event,
    *,
    user_id: uuid.UUID | None = None,
    method: str | None = None,
    reason: str | None = None,
    detail: Mapping[str, str] = NOTHING,
) -> None:
    """Keep an event, in a transaction of its own, so that a refused request's rollback does not lose it.

    It never raises for a database that cannot be asked: the line in the log is there in any case.
    """
    settings: Settings = current_app.extensions["settings"]
    # A person is named by an id in its hexadecimal form, which goes into the log as it is.
    values = {
        "event": event,
        "user_id": user_id,
        "method": code(method),
        "reason": code(reason),
        **whence(),
        "detail": {name: value[:LONGEST_DETAIL] for name, value in detail.items()},
    }
    told = {name: value for name, value in values.items() if value and name not in ("event", "request_id")}
    log.info(event, audit=True, **told | ({"user_id": str(user_id)} if user_id else {}))
    try:
        with engine().connect() as connection:
            connection.execute(insert(AuditEvent).values(at=now(), release=settings.release, **values))
    except SQLAlchemyError as error:
        log.warning("an event is in the log alone", lost=event, error=database.reason(error))


def code(value: str | None) -> str | None:
    """Return a code as it is kept; what is none is counted under one name, so that nobody can make up many."""
    return value if value is None or CODE.fullmatch(value) else "other"


def whence() -> dict[str, Any]:
    """Return which request this is about and where it came from; a command has neither."""
    if not has_request_context():
        return {"request_id": None, "address": None}
    return {"request_id": request.environ.get(request_id.KEY), "address": request.remote_addr}


def engine() -> Engine:
    """Return the engine of the audit log, with connections of its own."""
    found: Engine = current_app.extensions["audit_engine"]
    return found


def newest(connection: Connection, count: int, before: int | None = None, event: str | None = None) -> list[RowMapping]:
    """Return the newest rows, newest first; `before` is a number that all of them are below."""
    chosen = select(AuditEvent.__table__).order_by(AuditEvent.id.desc()).limit(count)
    if before is not None:
        chosen = chosen.where(AuditEvent.id < before)
    if event is not None:
        chosen = chosen.where(AuditEvent.event == event)
    return list(connection.execute(chosen).mappings())


def names(connection: Connection, rows: Sequence[RowMapping]) -> dict[uuid.UUID, str]:
    """Return what the people are called whom rows are about; whoever is gone has no name."""
    ids = {row["user_id"] for row in rows if row["user_id"] is not None}
    found = connection.execute(select(User.id, User.display_name, User.email).where(User.id.in_(ids)))
    return {user_id: display_name or email or str(user_id) for user_id, display_name, email in found}


def of_user(connection: Connection, user_id: uuid.UUID, count: int) -> list[RowMapping]:
    """Return the newest rows about a user, newest first."""
    chosen = select(AuditEvent.__table__).where(AuditEvent.user_id == user_id).order_by(AuditEvent.id.desc())
    return list(connection.execute(chosen.limit(count)).mappings())


def broken_at(connection: Connection) -> int | None:
    """Return the number of the first row that is missing or not as it was written; None when all of them are."""
    number: int | None = connection.scalar(
        text(
            "SELECT min(id) FROM (SELECT id, seal IS DISTINCT FROM audit_seal(e, lag(seal) OVER wide) "
            "OR id <> row_number() OVER wide AS wrong FROM audit_events e WINDOW wide AS (ORDER BY id)) AS looked_at "
            "WHERE wrong"
        )
    )
    return number


def counts(connection: Connection) -> list[tuple[str, str, str, int]]:
    """Return how often each kind of event happened: event, method, reason, number."""
    if connection.dialect.name != "postgresql":
        kinds = (AuditEvent.event, func.coalesce(AuditEvent.method, ""), func.coalesce(AuditEvent.reason, ""))
        rows = connection.execute(select(*kinds, func.count()).group_by(*kinds).order_by(*kinds))
    else:
        columns = (EventCount.event, EventCount.method, EventCount.reason)
        rows = connection.execute(select(*columns, EventCount.total).order_by(*columns))
    return [(event, method, reason, int(total)) for event, method, reason, total in rows]


def init_app(app: Flask, settings: Settings) -> None:
    """Make the engine: one connection a process, as the rows of the log follow each other anyway.

    Not the pool's: a request that holds one of its connections must not wait for another.
    """
    options: dict[str, Any] = {"hide_parameters": True, "isolation_level": "AUTOCOMMIT"}
    if settings.database_url.drivername != "sqlite":
        options |= {
            "pool_size": 1,
            "max_overflow": 1,
            "pool_timeout": 5,
            "pool_pre_ping": True,
            "pool_recycle": 1800,
            "connect_args": {
                **database.connect_args(settings, "audit"),
                "options": f"-c statement_timeout={PATIENCE}",
                **{k: v for k, v in settings.engine_options.get("connect_args", {}).items() if k.startswith("ssl")},
            },
        }
    made = create_engine(settings.database_url, **options)
    address.bound(made)
    app.extensions["audit_engine"] = made
