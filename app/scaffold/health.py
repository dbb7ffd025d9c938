"""What a platform asks: is the process alive (`/healthz`), and can it serve people (`/readyz`)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, current_app, jsonify
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from . import database, schema
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)
blueprint = Blueprint("health", __name__)

PATIENCE = 1.0


@dataclass(frozen=True)
class Verdict:
    """The answer to one check; `reason` is `database` or `schema` when the app is not ready."""

    ready: bool
    reason: str | None = None
    detail: str | None = None


class Readiness:
    """Asks the database on a connection of its own, with one question at a time and a bounded wait for the answer.

    Its own connection, so that a busy pool does not make the instance look broken; one at a time, so that probes
    do not pile up behind a database that hangs.
    """

    def __init__(self, engine: Engine, ours: frozenset[str], patience: float = PATIENCE) -> None:
        self.engine = engine
        self.ours = ours
        self.patience = patience
        self.lock = threading.Lock()
        self.asking: tuple[threading.Event, list[Verdict]] | None = None

    def check(self) -> Verdict:
        """Return whether the database answers within the patience (seconds) and its schema fits."""
        with self.lock:
            if self.asking is None:
                self.asking = (threading.Event(), [])
                threading.Thread(target=self._ask, args=self.asking, name="readiness", daemon=True).start()
            answered, verdicts = self.asking
        if not answered.wait(self.patience):
            return Verdict(False, "database", f"no answer within {self.patience:g} s")
        return verdicts[0]

    def _ask(self, answered: threading.Event, verdicts: list[Verdict]) -> None:
        try:
            with self.engine.connect() as connection:
                fits = schema.check(connection, self.ours)
            verdicts.append(Verdict(fits.ready, None if fits.ready else "schema", fits.words))
        except SQLAlchemyError as error:
            verdicts.append(Verdict(False, "database", database.reason(error)))
        except BaseException as error:
            verdicts.append(Verdict(False, "database", type(error).__name__))
            raise
        finally:
            with self.lock:
                self.asking = None
            answered.set()


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
    app.extensions["readiness"] = Readiness(engine, schema.heads())
    app.register_blueprint(blueprint)
