"""What a platform asks: is the process alive (`/healthz`), and can it serve people (`/readyz`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, current_app, jsonify
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from . import address, database, schema
from .question import Question
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)
blueprint = Blueprint("health", __name__)

PATIENCE = 1.0


@dataclass(frozen=True)
class Verdict:
    """The answer to one check; `reason` is `database` or `schema` when the app is not ready.

    `slow` when nothing is known but that the database has not answered yet.
    """

    ready: bool
    reason: str | None = None
    detail: str | None = None
    slow: bool = False


class Readiness:
    """Asks the database on a connection of its own, so that a busy pool does not make the instance look broken."""

    def __init__(self, engine: Engine, ours: frozenset[str], patience: float = PATIENCE) -> None:
        self.engine = engine
        self.ours = ours
        self.patience = patience
        self.question = Question(self._ask, "readiness")

    def check(self) -> Verdict:
        """Return whether the database answers within the patience (seconds) and its schema fits."""
        try:
            fits = self.question.answer(self.patience)
        except TimeoutError:
            return Verdict(False, "database", f"no answer within {self.patience:g} s", slow=True)
        except SQLAlchemyError as error:
            return Verdict(False, "database", database.reason(error))
        return Verdict(fits.ready, None if fits.ready else "schema", fits.words)

    def _ask(self) -> schema.Fit:
        with self.engine.connect() as connection:
            return schema.check(connection, self.ours)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that the process answers; never asks the database, so that its outage restarts nothing."""
    response = jsonify(status="ok", release=current_app.config["RELEASE"])
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say whether this instance can serve people, and if not, whether the database or its schema is the reason."""
    readiness: Readiness = current_app.extensions["readiness"]
    verdict = readiness.check()
    if verdict.ready:
        response = jsonify(status="ready", release=current_app.config["RELEASE"])
    else:
        # The detail names hosts and users: it is for the log alone.
        log.warning("not ready", reason=verdict.reason, detail=verdict.detail)
        if verdict.reason == "database" and not verdict.slow:
            current_app.extensions["outage"].begin(verdict.detail)
        response = jsonify(status="unready", reason=verdict.reason, release=current_app.config["RELEASE"])
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    response.headers["Cache-Control"] = "no-store"
    return response


def init_app(app: Flask, settings: Settings) -> None:
    """Serve both, and make the engine that readiness asks with."""
    options: dict[str, Any] = {"hide_parameters": True}
    if settings.database_url.drivername != "sqlite":
        options |= {
            "pool_size": 1,
            "max_overflow": 0,
            "pool_pre_ping": True,
            "pool_recycle": 60,
            "connect_args": {
                **database.connect_args(settings, "readiness"),
                "options": "-c statement_timeout=1s",
                **{k: v for k, v in settings.engine_options.get("connect_args", {}).items() if k.startswith("ssl")},
            },
        }
    engine = create_engine(settings.database_url, **options)
    address.bound(engine)
    app.extensions["readiness"] = Readiness(engine, schema.heads())
    app.register_blueprint(blueprint)
