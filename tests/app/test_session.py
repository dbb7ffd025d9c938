"""The session with the database ends with the request, whatever becomes of the database meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from scaffold.database import db
from scaffold.settings import Settings
from sqlalchemy import make_url, text

from tests.app.conftest import Postgres, running
from tests.conftest import Docker


@pytest.fixture
def asking(settings: Settings, postgres: Postgres, docker: Docker) -> Iterator[Flask]:
    """The app on a real server, with a page whose connection is ended right after its last query."""
    urls = postgres.database()
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    host = docker("container", "inspect", "--format", template, postgres.name)
    with running(replace(settings, database_url=make_url(urls.app).set(host=host))) as app:

        @app.get("/ended")
        def ended() -> str:
            process = db.session.execute(text("SELECT pg_backend_pid()")).scalar()
            postgres.psql("postgres", f"SELECT pg_terminate_backend({process}, 5000)")
            return "answered"

        yield app


def test_an_answer_is_given_though_the_database_goes_away_after_the_last_query(asking: Flask) -> None:
    """M4: what was asked has been answered; the connection is let go, and the next request gets another."""
    for _ in range(3):
        answer = asking.test_client().get("/ended", base_url="https://www.example.org")
        assert (answer.status_code, answer.text) == (200, "answered")
