"""What it costs a page to know who is there: asked with a session and without, in one process, on PostgreSQL."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "app"))

from flask import Flask, Response, make_response
from flask.testing import FlaskClient
from scaffold import csrf, sessions, users
from scaffold.database import db
from scaffold.settings import load
from sqlalchemy import event, text

from bench.row import Row
from tests.app.conftest import flask, running, start_postgres
from tests.conftest import LABEL, build, remove_labelled, remove_what_dead_runs_left, run_docker, started_at

REQUESTS, TURNS = 400, 7
BOUND_MS = 1.0


def rows() -> list[Row]:
    """Ask for both pages in turn."""
    with served() as app:
        ada, nobody = app.test_client(), app.test_client()
        ada.post("/enter")
        for client in (ada, nobody):
            assert client.get("/who").text == ("Ada" if client is ada else "nobody")
        with_session, without, queries = [], [], 0
        for _ in range(TURNS):
            one, other = medians_ms((nobody, "/plain"), (ada, "/who"))
            without.append(one)
            with_session.append(other)
        queries = count(app, ada, "/who") - count(app, nobody, "/plain")
    added = [one - other for one, other in zip(with_session, without, strict=True)]
    how = (
        f"p50 of {REQUESTS} requests with a query of their own, {TURNS} turns: {min(added):.3g} to {max(added):.3g}; "
        f"page without {statistics.median(without):.3g}, with {statistics.median(with_session):.3g}"
    )
    return [
        Row("session lookup: added to a page at p50", statistics.median(added), BOUND_MS, "ms", how),
        Row("session lookup: queries", queries, 1, "", "counted at the driver's cursor"),
    ]


@contextmanager
def served() -> Iterator[Flask]:
    """Return the app on a PostgreSQL of its own, with a page that asks who is there and one that does not."""
    run_id = f"{os.getpid()}-{started_at(os.getpid())}"
    remove_what_dead_runs_left()
    network = f"scaffold-bench-{uuid.uuid4().hex[:8]}"
    try:
        run_docker("network", "create", "--internal", "--label", f"{LABEL}={run_id}", network)
        server = start_postgres(run_docker, build("database"), run_id, network)
        urls = server.database()
        done = flask(server, urls.owner, "db", "upgrade")
        assert done.returncode == 0, done.stderr
        with tempfile.TemporaryDirectory() as folder:
            found = {
                "ENVIRONMENT": "development",
                "SQLALCHEMY_DATABASE_URI": urls.app.replace(f"@{server.name}:", f"@{server.address}:"),
                "MAINTENANCE_PAGE_FILE": f"{folder}/page.html",
            }
            with running(load(found)) as app:
                add_pages(app)
                yield app
    finally:
        remove_labelled(f"{LABEL}={run_id}")


def add_pages(app: Flask) -> None:
    """Add the pages, and a way to be Ada."""

    @app.post("/enter")
    @csrf.exempt
    def enter() -> Response:
        ada = users.User(email="ada@example.org", display_name="Ada")
        db.session.add(ada)
        db.session.flush()
        give = sessions.start(ada, method="saml")
        db.session.commit()
        return give(make_response("in"))

    @app.get("/who")
    def who() -> str:
        db.session.execute(text("SELECT 1"))
        found = sessions.current()
        return found.name if found else "nobody"

    @app.get("/plain")
    def plain() -> str:
        db.session.execute(text("SELECT 1"))
        return "plain"


def medians_ms(*pages: tuple[FlaskClient, str]) -> list[float]:
    """Return the median time of a request for each page, in ms; in turn, so that all see the same machine."""
    taken: list[list[float]] = [[] for _ in pages]
    for _ in range(REQUESTS):
        for (client, path), times in zip(pages, taken, strict=True):
            began = time.perf_counter()
            client.get(path)
            times.append(time.perf_counter() - began)
    return [statistics.median(times) * 1000 for times in taken]


def count(app: Flask, client: FlaskClient, path: str) -> int:
    """Return how many statements a request sends."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    client.get(path)
    event.remove(engine, "before_cursor_execute", note)
    return len(seen)
