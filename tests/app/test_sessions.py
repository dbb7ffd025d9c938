"""Sessions: who is signed in where, for how long, and how it ends; on a real PostgreSQL with the app's own role."""

# ruff: noqa: S608 - the names are the test's own

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, Response, make_response, request
from flask.testing import FlaskClient
from scaffold import audit, csrf, sessions, users
from scaffold.database import db
from scaffold.moments import now
from sqlalchemy import event

from tests.app.conftest import Postgres

COOKIE = "__Host-scaffold_session"


def add_user(site: Flask, **fields: Any) -> uuid.UUID:
    """Add a person and return the id."""
    with site.app_context():
        user = users.User(**{"email": "ada@example.org", "display_name": "Ada", **fields})
        db.session.add(user)
        db.session.commit()
        return user.id


@pytest.fixture
def ada(site: Flask) -> uuid.UUID:
    """A person, and pages at which anybody may sign in as whoever they name."""

    @site.post("/enter/<uuid:user_id>")
    @csrf.exempt
    def enter(user_id: uuid.UUID) -> Response:
        user = db.session.get_one(users.User, user_id)
        until = request.args.get("until")
        give = sessions.start(
            user,
            method="saml",
            issuer="https://idp.example/",
            name_id=str(user_id),
            session_index=request.args.get("index"),
            expires_at=now() + timedelta(seconds=int(until)) if until else None,
        )
        db.session.commit()
        return give(make_response("in"))

    @site.post("/leave")
    @csrf.exempt
    def leave() -> Response:
        return sessions.end()(make_response("out"))

    @site.post("/renew")
    @csrf.exempt
    def renew() -> Response:
        give = sessions.renew()
        db.session.commit()
        return give(make_response("renewed"))

    @site.get("/who")
    def who() -> str:
        session = sessions.current()
        return session.name if session else "nobody"

    return add_user(site)


@pytest.fixture
def browser(site: Flask, ada: uuid.UUID) -> FlaskClient:
    """A browser in which Ada is signed in."""
    browser = site.test_client()
    assert browser.post(f"/enter/{ada}").text == "in"
    return browser


@pytest.fixture
def statements(site: Flask) -> Iterator[list[str]]:
    """The statements that the app's engine is given."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    with site.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def psql(site: Flask, postgres: Postgres, sql: str) -> str:
    """Run SQL on the site's database."""
    return postgres.psql(site.extensions["urls"].name, sql)


def events(site: Flask) -> list[str]:
    """Return the events in the audit log, oldest first."""
    with site.app_context(), audit.engine().connect() as connection:
        return [row["event"] for row in reversed(audit.newest(connection, 100))]


def test_the_cookie_is_random_for_this_host_alone_and_the_database_keeps_a_digest_of_it(
    site: Flask, postgres: Postgres, ada: uuid.UUID
) -> None:
    browser = site.test_client()
    cookie = browser.post(f"/enter/{ada}").headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert parts == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}
    token = cookie.split(";")[0].removeprefix(f"{COOKIE}=")
    assert len(token) == 43
    kept = psql(site, postgres, "SELECT encode(digest, 'hex') FROM sessions")
    assert kept == hashlib.sha256(token.encode()).hexdigest()
    assert token not in psql(site, postgres, "SELECT s::text FROM sessions s")


def test_a_page_costs_no_query_about_sessions_unless_it_asks_and_then_one(
    browser: FlaskClient, site: Flask, statements: list[str]
) -> None:
    browser.get("/healthz")
    assert [statement for statement in statements if "sessions" in statement] == []
    assert browser.get("/who").text == "Ada"
    assert len(statements) == 1
    statements.clear()
    assert site.test_client().get("/who").text == "nobody"
    assert statements == []


def test_the_first_page_is_there_for_everybody_whether_signed_in_or_not(browser: FlaskClient, site: Flask) -> None:
    assert browser.get("/").status_code == 200
    assert site.test_client().get("/").status_code == 200


def test_an_id_from_before_a_login_is_worth_nothing_after_it(
    site: Flask, browser: FlaskClient, postgres: Postgres, ada: uuid.UUID
) -> None:
    before = browser.get_cookie(COOKIE)
    browser.post(f"/enter/{ada}")
    after = browser.get_cookie(COOKIE)
    assert before is not None
    assert after is not None
    assert before.value != after.value
    old = site.test_client(use_cookies=False).get("/who", headers={"Cookie": f"{COOKIE}={before.value}"})
    assert old.text == "nobody"
    assert psql(site, postgres, "SELECT count(*) FROM sessions") == "1"


def test_a_renewed_session_is_the_same_one_under_another_id(site: Flask, browser: FlaskClient) -> None:
    before = browser.get_cookie(COOKIE)
    assert before is not None
    browser.post("/renew")
    assert browser.get("/who").text == "Ada"
    old = site.test_client(use_cookies=False).get("/who", headers={"Cookie": f"{COOKIE}={before.value}"})
    assert old.text == "nobody"


def test_leaving_deletes_the_row_and_the_cookie(site: Flask, browser: FlaskClient, postgres: Postgres) -> None:
    browser.post("/leave")
    assert browser.get_cookie(COOKIE) is None
    assert psql(site, postgres, "SELECT count(*) FROM sessions") == "0"
    assert events(site) == ["session_created", "session_ended"]


@pytest.mark.parametrize(
    ("change", "who"),
    [
        ("seen_at = seen_at - interval '29 minutes'", "Ada"),
        ("seen_at = seen_at - interval '31 minutes'", "nobody"),
        ("expires_at = expires_at - interval '11 hours 59 minutes'", "Ada"),
        ("expires_at = expires_at - interval '12 hours'", "nobody"),
    ],
)
def test_a_session_ends_after_half_an_hour_alone_or_half_a_day(
    site: Flask, browser: FlaskClient, postgres: Postgres, change: str, who: str
) -> None:
    psql(site, postgres, f"UPDATE sessions SET {change}")
    assert browser.get("/who").text == who
    assert browser.get("/who").text == who
    if who == "nobody":
        assert psql(site, postgres, "SELECT count(*) FROM sessions") == "0"
        assert events(site) == ["session_created", "session_expired"]


def test_a_session_ends_when_the_identity_provider_says_and_no_later_than_ours(
    site: Flask, postgres: Postgres, ada: uuid.UUID
) -> None:
    browser = site.test_client()
    for seconds, minutes in ((600, 10), (10**6, 720)):
        browser.post(f"/enter/{ada}?until={seconds}")
        left = psql(site, postgres, "SELECT round(extract(epoch FROM expires_at - created_at) / 60) FROM sessions")
        assert int(left) == minutes


def test_being_seen_is_written_down_once_a_minute(
    site: Flask, browser: FlaskClient, postgres: Postgres, statements: list[str]
) -> None:
    psql(site, postgres, "UPDATE sessions SET seen_at = seen_at - interval '2 minutes'")
    for _ in range(3):
        browser.get("/who")
    assert len([statement for statement in statements if statement.startswith("UPDATE")]) == 1
    assert psql(site, postgres, "SELECT now() - seen_at < interval '1 minute' FROM sessions") == "t"


def test_whoever_is_disabled_is_out_at_once(site: Flask, browser: FlaskClient, postgres: Postgres) -> None:
    psql(site, postgres, "UPDATE users SET disabled_at = now()")
    assert browser.get("/who").text == "nobody"


@pytest.mark.parametrize("token", ["", "x" * 43, "x" * 65, "ünicode", "';DROP TABLE sessions;--"])
def test_an_id_that_nobody_was_given_is_nobodys(site: Flask, ada: uuid.UUID, token: str) -> None:
    client = site.test_client(use_cookies=False)
    assert client.get("/who", headers={"Cookie": f"{COOKIE}={token}"}).text == "nobody"


def test_an_identity_provider_ends_the_sessions_that_it_means_and_no_other(
    site: Flask, postgres: Postgres, ada: uuid.UUID
) -> None:
    bob = add_user(site, email="bob@example.org")
    for user, number in ((ada, "a1"), (ada, "a2"), (bob, "a1")):
        site.test_client().post(f"/enter/{user}?index={number}")
    with site.app_context():
        for name, index, issuer, count in (
            (str(ada), "a1", "https://other.example/", 0),
            (str(ada), "a9", "https://idp.example/", 0),
            (str(ada), "a1", "https://idp.example/", 1),
            (str(bob), None, "https://idp.example/", 1),
        ):
            assert len(ended := sessions.end_by_name_id(name, index, issuer)) == count
            assert {str(user_id) for user_id in ended} <= {name}
            db.session.commit()
    assert psql(site, postgres, "SELECT session_index FROM sessions") == "a2"


def test_sessions_are_revoked_for_one_person_or_for_all(site: Flask, browser: FlaskClient, ada: uuid.UUID) -> None:
    other = site.test_client()
    other.post(f"/enter/{add_user(site, email='bob@example.org', display_name='Bob')}")
    with site.app_context():
        assert sessions.end_all(ada) == 1
        db.session.commit()
    assert browser.get("/who").text == "nobody"
    assert other.get("/who").text == "Bob"
    with site.app_context():
        assert sessions.end_all() == 1
        db.session.commit()
    assert other.get("/who").text == "nobody"


def test_what_is_long_over_is_swept_when_somebody_signs_in(
    site: Flask, browser: FlaskClient, postgres: Postgres, ada: uuid.UUID
) -> None:
    psql(site, postgres, "UPDATE sessions SET expires_at = now() - interval '1 second'")
    site.test_client().post(f"/enter/{ada}")
    assert psql(site, postgres, "SELECT count(*) FROM sessions") == "1"


def test_a_key_that_is_changed_without_a_fallback_signs_nobody_out(site: Flask, browser: FlaskClient) -> None:
    site.secret_key = "an0ther-" + str(site.secret_key)
    assert browser.get("/who").text == "Ada"


def test_a_form_from_nowhere_is_written_down_where_somebody_is_signed_in_and_no_stranger_fills_the_log(
    site: Flask, browser: FlaskClient
) -> None:
    def written() -> int:
        with site.app_context():
            return len(audit.newest(db.session.connection(), 100, event="malicious_csrf"))

    before = written()
    stranger = site.test_client()
    for _ in range(3):
        assert stranger.post("/account/sessions/end-others").status_code == 403
    assert written() == before
    assert browser.post("/account/sessions/end-others").status_code == 403
    assert stranger.post("/auth/login/password").status_code in (403, 404)
    assert written() >= before + 1
