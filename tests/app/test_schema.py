"""Whether code and schema fit: decided without a database, and asked of one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import Flask
from scaffold import schema
from scaffold.database import db
from sqlalchemy import text

OURS = frozenset({"0002"})


@pytest.mark.parametrize(
    ("present", "steps", "ready"),
    [
        (None, {}, False),
        ("0002", {}, True),
        ("0001", {"0001": (None, True)}, False),
        ("0003", {}, False),
        ("0003", {"0003": ("0002", True)}, True),
        ("0003", {"0003": ("0002", False)}, False),
        ("0004", {"0003": ("0002", True), "0004": ("0003", True)}, True),
        ("0004", {"0003": ("0002", False), "0004": ("0003", True)}, False),
        ("0004", {"0003": ("0004", True), "0004": ("0003", True)}, False),
    ],
)
def test_a_schema_fits_when_it_is_ours_or_every_later_step_is_compatible(
    present: str | None, steps: dict[str, tuple[str | None, bool]], ready: bool
) -> None:
    assert schema.fit(present, OURS, steps).ready is ready


def test_the_newest_revisions_are_those_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.DIRECTORY))
    assert schema.heads() == set(ScriptDirectory.from_config(config).get_heads())


def test_every_revision_says_whether_the_release_before_it_still_works() -> None:
    for path in (schema.DIRECTORY / "versions").glob("*.py"):
        assert isinstance(schema.assigned(path.read_text(encoding="utf-8"), ("compatible",))["compatible"], bool), (
            path.name
        )


def test_merged_branches_leave_one_newest_revision(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    for name, follows in (("a", None), ("b", "a"), ("c", "a"), ("d", ("b", "c"))):
        source = f"revision = {name!r}\ndown_revision: object = {follows!r}\n"
        (tmp_path / "versions" / f"{name}.py").write_text(source, encoding="utf-8")
    assert schema.heads(tmp_path) == {"d"}


def ready(app: Flask) -> tuple[int, str | None]:
    """Return the readiness's status and reason."""
    answer = app.test_client().get("/readyz")
    assert answer.json is not None
    return answer.status_code, answer.json.get("reason")


def test_the_app_is_ready_on_its_own_schema_and_on_a_compatible_later_one_alone(app: Flask) -> None:
    assert ready(app) == (200, None)
    with app.app_context():
        db.session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        db.session.commit()
        assert ready(app) == (503, "schema")
        (head,) = schema.heads()
        db.session.add(schema.SchemaStep(revision="9999", follows=head, compatible=True, release="later"))
        db.session.commit()
    assert ready(app) == (200, None)


def test_the_app_is_not_ready_on_an_empty_database(app: Flask) -> None:
    with app.app_context():
        db.session.execute(text("DROP TABLE alembic_version"))
        db.session.commit()
    assert ready(app) == (503, "schema")


def test_readiness_answers_in_time_when_the_database_hangs(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    readiness = app.extensions["readiness"]
    release = __import__("threading").Event()
    asked = []

    def hang() -> schema.Fit:
        asked.append(True)
        release.wait(30)
        return schema.Fit(True, "")

    monkeypatch.setattr(readiness.question, "ask", hang)
    began = time.monotonic()
    assert ready(app) == (503, "database")
    assert ready(app) == (503, "database")
    assert time.monotonic() - began < 2.5
    assert len(asked) == 1, "a second probe must not pile up behind the first"
    assert app.test_client().get("/healthz").status_code == 200
    release.set()
    deadline = time.monotonic() + 5
    while app.extensions["outage"].active and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not app.extensions["outage"].active
