"""The audit log: what is in it, that nobody changes it, that a change shows, and that it counts."""

from __future__ import annotations

import threading
import uuid

import psycopg
import pytest
from flask import Flask, abort
from scaffold import audit, csrf
from scaffold.database import db
from sqlalchemy import text

from tests.app.conftest import Postgres

REFERENCE = "0123456789abcdef"
WHO = uuid.UUID(int=7)


def rows(site: Flask) -> list[dict[str, object]]:
    """Return the log, oldest first."""
    with site.app_context(), audit.engine().connect() as connection:
        return [dict(row) for row in reversed(audit.newest(connection, 1000))]


def broken(site: Flask) -> int | None:
    """Return where the log's seals do not fit."""
    with site.app_context(), audit.engine().connect() as connection:
        return audit.broken_at(connection)


def fill(site: Flask, count: int) -> None:
    """Write events."""
    with site.app_context():
        for number in range(count):
            audit.record("authn_login_fail", method="password", reason="wrong_password", detail={"n": str(number)})


def test_an_event_says_who_from_where_under_which_reference_and_outlives_a_refused_request(site: Flask) -> None:
    @site.post("/refused")
    @csrf.exempt
    def refused() -> str:
        db.session.execute(text("INSERT INTO users (id, email) VALUES (gen_random_uuid(), 'x')"))
        audit.record("authn_login_fail", user_id=WHO, method="saml", reason="replayed", detail={"assertion": "_a1"})
        abort(403)

    headers = {"X-Request-ID": REFERENCE, "X-Forwarded-For": "203.0.113.9"}
    answer = site.test_client().post("/refused", headers=headers)
    assert answer.status_code == 403
    assert REFERENCE in answer.text
    assert "replayed" not in answer.text
    (row,) = rows(site)
    assert {name: row[name] for name in ("id", "event", "user_id", "method", "reason", "request_id", "address")} == {
        "id": 1, "event": "authn_login_fail", "user_id": WHO, "method": "saml", "reason": "replayed",
        "request_id": REFERENCE, "address": "203.0.113.9",
    }  # fmt: skip
    assert (row["release"], row["detail"]) == ("r7", {"assertion": "_a1"})
    with site.app_context():
        assert db.session.execute(text("SELECT count(*) FROM users")).scalar() == 0


def test_the_apps_role_adds_to_the_log_and_changes_nothing_in_it(site: Flask, postgres: Postgres) -> None:
    fill(site, 1)
    name = site.extensions["urls"].name
    statements = ("UPDATE audit_events SET event = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events")
    with postgres.connect(name, "app_a") as connection:
        for statement in (
            *statements,
            "ALTER TABLE audit_events DISABLE TRIGGER ALL",
            "DROP TABLE audit_events CASCADE",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    with postgres.connect(name, "owner") as connection:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only added to"):
                connection.execute(statement)


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE audit_events SET reason = 'typo' WHERE id = 3", 3),
        ("UPDATE audit_events SET at = at + interval '1 second' WHERE id = 2", 2),
        ("UPDATE audit_events SET detail = '{}' WHERE id = 4", 4),
        ("DELETE FROM audit_events WHERE id = 1", 2),
        ("DELETE FROM audit_events WHERE id = 3", 4),
        ("UPDATE audit_events SET id = id + 1 WHERE id = 5", 6),
        ("SELECT 1", None),
    ],
)
def test_a_row_that_is_changed_or_missing_shows(
    site: Flask, postgres: Postgres, tampering: str, found: int | None
) -> None:
    fill(site, 5)
    assert broken(site) is None
    hidden = f"SET session_replication_role = replica; {tampering}"
    postgres.psql(site.extensions["urls"].name, hidden)
    assert broken(site) == found


def test_events_of_many_threads_are_numbered_without_a_gap_and_counted(site: Flask) -> None:
    threads = [threading.Thread(target=fill, args=(site, 10)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [row["id"] for row in rows(site)] == list(range(1, 81))
    assert broken(site) is None
    with site.app_context(), audit.engine().connect() as connection:
        assert audit.counts(connection) == [("authn_login_fail", "password", "wrong_password", 80)]


def test_what_is_no_code_is_counted_under_one_name(site: Flask) -> None:
    with site.app_context():
        for reason in ("A b", "x" * 65, "", "drop table"):
            audit.record("authn_login_fail", reason=reason)
    assert {row["reason"] for row in rows(site)} == {"other"}


def test_rows_that_a_restore_carries_over_get_their_numbers_and_seals_again(site: Flask, postgres: Postgres) -> None:
    fill(site, 5)
    name = site.extensions["urls"].name
    seals = postgres.psql(name, "SELECT id, seal FROM audit_events ORDER BY id")
    postgres.psql(
        name,
        "CREATE TABLE kept AS SELECT * FROM audit_events; SET session_replication_role = replica; "
        "DELETE FROM audit_events WHERE id > 2; SET session_replication_role = origin; "
        "INSERT INTO audit_events SELECT * FROM kept WHERE id > 2 ORDER BY id",
    )
    assert postgres.psql(name, "SELECT id, seal FROM audit_events ORDER BY id") == seals
    assert broken(site) is None


def test_an_event_is_in_the_log_file_though_the_database_cannot_take_it(
    site: Flask, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.psql(site.extensions["urls"].name, "DROP TABLE audit_events CASCADE")
    with site.app_context():
        audit.record("authn_login_success", user_id=WHO, method="saml")
    said = capsys.readouterr().out
    assert "authn_login_success" in said
    assert "an event is in the log alone" in said
