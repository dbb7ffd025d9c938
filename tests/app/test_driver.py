"""The database driver and its pool, as a stack sets them."""

from __future__ import annotations

import os
import subprocess
from typing import cast

import pytest
from scaffold import create_app
from scaffold.database import db
from scaffold.settings import load
from sqlalchemy.pool import QueuePool

from tests.conftest import ROOT

URL = "postgresql+psycopg://app:p%40ss@database:5432/scaffold"
BUILD_SECONDS = 900


def test_the_pool_is_as_the_engine_options_say() -> None:
    """M9, M10: psycopg 3 by URL, the pool by SQLALCHEMY_ENGINE_OPTIONS."""
    options = '{"pool_size": 7, "max_overflow": 3}'
    known = {"ENVIRONMENT": "development", "SQLALCHEMY_DATABASE_URI": URL, "SQLALCHEMY_ENGINE_OPTIONS": options}
    app = create_app(load(known))
    with app.app_context():
        pool = cast(QueuePool, db.engine.pool)
        assert db.engine.driver == "psycopg"
        assert (pool.size(), pool._max_overflow) == (7, 3)


@pytest.mark.slow
def test_the_driver_is_compiled_against_the_distributions_libpq_where_that_is_asked_for() -> None:
    """M9: `psycopg[c]` is a build option."""
    built = subprocess.run(
        ["docker", "build", "--quiet", "--build-arg", "PSYCOPG=c", str(ROOT / "app")],
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=True,
    ).stdout.strip()
    try:
        asked = ["docker", "run", "--rm", built, "python", "-c", "import psycopg; print(psycopg.pq.__impl__)"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
        assert said == "c"
    finally:
        subprocess.run(["docker", "rmi", "--force", built], capture_output=True, timeout=60, check=False)
