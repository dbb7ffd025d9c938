"""The database: how connections are made and kept, and how to tell that it is offline."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase

from . import address
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)

# A name for every constraint, so that a later migration can drop or alter it.
NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# What PostgreSQL says when it is going away, coming up, full, or not there (SQLSTATE class 08 and these).
OFFLINE_STATES = ("57P01", "57P02", "57P03", "57P05", "53300")


class Base(DeclarativeBase):
    """What every table is described with."""

    metadata = MetaData(naming_convention=NAMES)


db = SQLAlchemy(model_class=Base, disable_autonaming=True)

if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


def connect_args(settings: Settings, purpose: str) -> dict[str, Any]:
    """Return libpq's parameters: a bounded wait to connect, and a dead server noticed in about ten seconds."""
    if settings.database_url.drivername == "sqlite":
        return {}
    return {
        "connect_timeout": 2,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "application_name": f"scaffold {purpose} {settings.release} {socket.gethostname()}"[:63],
    }


def engine_options(settings: Settings) -> dict[str, Any]:
    """Return the engine's options: sane defaults, with those of SQLALCHEMY_ENGINE_OPTIONS over them."""
    chosen = dict(settings.engine_options)
    # Values in an error message would end up in the log.
    defaults: dict[str, Any] = {"hide_parameters": True}
    if settings.database_url.drivername != "sqlite":
        defaults |= {
            "pool_size": settings.web_threads,
            "max_overflow": 2,
            "pool_timeout": 5,
            "pool_recycle": 1800,
            "pool_pre_ping": True,
            "pool_use_lifo": True,
        }
        given = chosen.pop("connect_args", {})
        defaults["connect_args"] = {
            **connect_args(settings, "web"),
            "options": "-c statement_timeout=30s -c idle_in_transaction_session_timeout=60s",
            **given,
        }
    return defaults | chosen


def is_offline(error: BaseException) -> bool:
    """Tell whether an error means that the database cannot be reached, and not that it refused a statement."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, OperationalError | InterfaceError):
        return isinstance(error, DBAPIError) and error.connection_invalidated
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        # No answer from a server at all, unless it is SQLite, which has no states and no server.
        return type(error.orig).__module__.startswith("psycopg")
    return error.connection_invalidated or state.startswith("08") or state in OFFLINE_STATES


def reason(error: BaseException) -> str:
    """Return the first line of what went wrong, for the log."""
    words = str(getattr(error, "orig", None) or error).strip()
    return words.splitlines()[0] if words else type(error).__name__


def init_app(app: Flask, settings: Settings) -> None:
    """Make the engine, without connecting."""
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings)
    db.init_app(app)
    app.after_request(end_session)
    with app.app_context():
        address.bound(db.engine)


def end_session(response: Response) -> Response:
    """End the request's session while there is still an answer to give: an error at the teardown would lose it.

    A database that goes away after the last query has done its part; only its connections are of no use any more.
    """
    if db.session.registry.has():
        try:
            db.session.close()
        except DBAPIError as error:
            db.session().invalidate()
            log.warning("the database went away while a request ended", error=reason(error))
    return response


def engine_of(app: Flask) -> Engine:
    """Return the app's engine."""
    with app.app_context():
        return db.engine


def forget_connections(app: Flask) -> None:
    """Drop connections that a forked process shares with its parent, without closing them for the parent."""
    engine_of(app).dispose(close=False)
