"""One's own account: where one is signed in, and changing how one signs in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from scaffold import audit

from tests.app.authenticator import Authenticator
from tests.app.browser import EMAIL, PASSWORD, Browser, add_account, options_on
from tests.app.conftest import Postgres

NEW_PASSWORD = "gravel otter mauve quince"


@pytest.fixture
def owner(trial: Flask) -> Browser:
    """A browser in which somebody has just signed in for the first time, with an app."""
    add_account(trial)
    browser = Browser(trial)
    browser.sign_in()
    return browser


def psql(site: Flask, postgres: Postgres, sql: str) -> str:
    """Run SQL on the site's database."""
    return postgres.psql(site.extensions["urls"].name, sql)


def events(site: Flask) -> list[str]:
    """Return the events in the audit log, oldest first."""
    with site.app_context(), audit.engine().connect() as connection:
        return [row["event"] for row in reversed(audit.newest(connection, 200))]


def another(trial: Flask, owner: Browser) -> Browser:
    """Return another browser in which the same person is signed in."""
    browser = Browser(trial, "203.0.113.7")
    browser.give_password()
    browser.post("/auth/login/factor", code=owner.codes.pop())
    assert browser.signed_in()
    return browser


def long_ago(trial: Flask, postgres: Postgres) -> None:
    """Make it long ago that anybody showed who they are."""
    psql(trial, postgres, "UPDATE sessions SET proved_at = proved_at - interval '11 minutes'")


def test_the_page_shows_every_session_and_ends_the_others_one_by_one_or_all(trial: Flask, owner: Browser) -> None:
    first, second = another(trial, owner), another(trial, owner)
    page = owner.get("/account")
    assert page.text.count("from 203.0.113.7, signed in") == 2
    (path, *_) = re.findall(r'action="(/account/sessions/[0-9a-f-]{36}/end)"', page.text)
    owner.post(path)
    assert sorted([first.get("/account").request.path, second.get("/account").request.path]) == [
        "/account", "/auth/login",
    ]  # fmt: skip
    owner.get("/account")
    owner.post("/account/sessions/end-others")
    assert {first.get("/account").request.path, second.get("/account").request.path} == {"/auth/login"}
    assert owner.get("/account").request.path == "/account"


def test_nobody_ends_somebody_elses_session_or_removes_their_key(
    trial: Flask, owner: Browser, postgres: Postgres
) -> None:
    add_account(trial, "eve@example.org")
    eve = Browser(trial, "203.0.113.66")
    eve.sign_in(PASSWORD, "eve@example.org")
    eve.get("/account")
    for row in psql(trial, postgres, "SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id").splitlines():
        eve.post(f"/account/sessions/{row}/end")
        eve.get("/account")
    assert owner.get("/account").request.path == "/account"
    assert eve.get("/account").request.path == "/account"
    key = Authenticator()
    owner.get("/account/factors/new")
    owner.post("/account/factors/new", credential=key.create(options_on(owner.page)), name="Blue")
    passkey = psql(trial, postgres, "SELECT id FROM passkeys")
    eve.get("/account")
    assert eve.post(f"/account/factors/passkeys/{passkey}/remove").status_code == 404
    assert psql(trial, postgres, "SELECT count(*) FROM passkeys") == "1"


@pytest.mark.parametrize("path", ["/account/factors/new", "/account/password"])
def test_what_signs_somebody_in_is_changed_only_after_showing_who_one_is(
    trial: Flask, owner: Browser, postgres: Postgres, path: str
) -> None:
    long_ago(trial, postgres)
    before = owner.session
    assert owner.get(path).request.path == "/account/prove"
    for fields in (
        {"password": "wrong password of somebody", "code": owner.codes.pop()},
        {"password": PASSWORD, "code": "000000"},
        {"password": PASSWORD, "credential": "{}"},
        {"password": PASSWORD},
        {},
    ):
        answer = owner.post("/account/prove", **fields)
        assert answer.status_code in (403, 429), fields
        psql(trial, postgres, "DELETE FROM throttles")
        owner.get(path)
    assert owner.post("/account/prove", password=PASSWORD, code=owner.codes.pop()).request.path == path
    assert owner.session != before, "a session that may do more has a new id"


@pytest.mark.parametrize(
    "path", ["factors/new", "factors/app/remove", "factors/recovery-codes", "password",
             "factors/passkeys/00000000-0000-0000-0000-000000000000/remove"],
)  # fmt: skip
def test_a_form_that_changes_a_factor_is_not_taken_without_proof_either(
    trial: Flask, owner: Browser, postgres: Postgres, path: str
) -> None:
    owner.get("/account")
    long_ago(trial, postgres)
    before = psql(trial, postgres, "SELECT count(*), max(changed_at) FROM passwords, totps, recovery_codes")
    assert owner.post(f"/account/{path}", password=NEW_PASSWORD, again=NEW_PASSWORD).request.path == "/account/prove"
    after = psql(trial, postgres, "SELECT count(*), max(changed_at) FROM passwords, totps, recovery_codes")
    assert after == before


def changes(owner: Browser, kind: str) -> None:
    """Change a factor of one's own."""
    if kind == "passkey":
        owner.get("/account/factors/new")
        owner.post("/account/factors/new", credential=Authenticator().create(options_on(owner.page)), name="Blue")
    elif kind == "app":
        owner.get("/account/factors/new")
        owner.enrol("/account/factors/new")
    elif kind == "codes":
        owner.get("/account")
        assert len(re.findall(r"<li><code>", owner.post("/account/factors/recovery-codes").text)) == 10
    else:
        owner.get("/account/password")
        owner.post("/account/password", password=NEW_PASSWORD, again=NEW_PASSWORD)


@pytest.mark.parametrize("kind", ["passkey", "app", "codes", "password"])
def test_a_change_ends_the_sessions_elsewhere_gives_this_one_a_new_id_and_is_told(
    trial: Flask, owner: Browser, kind: str
) -> None:
    other = another(trial, owner)
    owner.get("/account")
    before = owner.session
    changes(owner, kind)
    assert owner.session != before
    assert owner.get("/account").request.path == "/account"
    assert other.get("/account").request.path == "/auth/login"
    told = "authn_password_change" if kind == "password" else "authn_factor_added"
    assert told in events(trial)[-1]
    words = told.removeprefix("authn_").replace("_", " ")
    assert words in owner.get("/account").text, "its owner sees it on the page"


def test_a_new_app_takes_the_place_of_the_old_one(trial: Flask, owner: Browser, postgres: Postgres) -> None:
    old = owner.seed
    changes(owner, "app")
    assert owner.seed != old
    assert psql(trial, postgres, "SELECT count(*), count(confirmed_at) FROM totps") == "1|1"
    browser = Browser(trial)
    browser.give_password()
    browser.seed = old
    assert browser.post("/auth/login/factor", code=browser.code()).status_code == 403


def test_the_last_factor_stays(trial: Flask, owner: Browser, postgres: Postgres) -> None:
    owner.get("/account")
    assert owner.post("/account/factors/app/remove").status_code == 404
    changes(owner, "passkey")
    owner.get("/account")
    assert owner.post("/account/factors/app/remove").request.path == "/account"
    passkey = psql(trial, postgres, "SELECT id FROM passkeys")
    assert owner.post(f"/account/factors/passkeys/{passkey}/remove").status_code == 404
    assert psql(trial, postgres, "SELECT count(*) FROM passkeys") == "1"


def test_a_person_whom_a_provider_knows_has_no_factors_here(trial: Flask, owner: Browser, postgres: Postgres) -> None:
    psql(trial, postgres, "UPDATE users SET local = false")
    assert "How you sign in" not in owner.get("/account").text
    for path in ("factors/new", "password", "prove"):
        assert owner.get(f"/account/{path}").status_code == 404


def test_only_administrators_read_the_audit_log_and_who_is_refused_is_noted(
    trial: Flask, owner: Browser, postgres: Postgres
) -> None:
    assert owner.get("/audit").status_code == 403
    assert events(trial)[-1] == "authz_fail"
    assert Browser(trial).get("/audit").request.path == "/auth/login"
    psql(trial, postgres, "UPDATE users SET roles = '[\"admin\"]'")
    page = owner.get("/audit")
    assert page.status_code == 200
    assert "authz_fail" in page.text
    assert "On Call" in page.text
    assert 'href="/audit"' in owner.get("/account").text


@pytest.mark.parametrize(
    "query", ["before=x", "before=-1", "before=99999999999999999999", "event=nonsense", "before=0"]
)
def test_a_query_that_makes_no_sense_shows_the_newest(
    trial: Flask, owner: Browser, postgres: Postgres, query: str
) -> None:
    psql(trial, postgres, "UPDATE users SET roles = '[\"admin\"]'")
    page = owner.get(f"/audit?{query}")
    assert page.status_code == 200
    assert "session_created" in page.text


def test_the_audit_log_is_paged_and_chosen_by_event(trial: Flask, owner: Browser, postgres: Postgres) -> None:
    psql(trial, postgres, "UPDATE users SET roles = '[\"admin\"]'")
    with trial.app_context():
        for _ in range(120):
            audit.record("authn_login_fail", method="password", reason="wrong_password", detail={"<b>": "<script>"})
    seen: list[int] = []
    path = "/audit?event=authn_login_fail"
    while path:
        page = owner.get(path).text
        seen += [int(number) for number in re.findall(r'<td role="cell">(\d+)</td>', page)]
        found = re.search(r'href="(/audit\?[^"]*)">Older', page)
        path = found[1].replace("&amp;", "&") if found else ""
        assert "<b>" not in page
        assert "&lt;script&gt;" in page
    assert len(seen) == 120
    assert seen == sorted(seen, reverse=True)


def pages(browser: Browser) -> list[Any]:
    """Return every page of an account."""
    return [browser.get(path) for path in ("/account", "/account/prove", "/account/factors/new", "/account/password")]


def test_no_page_is_kept_by_a_browser_or_styled_inline(trial: Flask, owner: Browser) -> None:
    for page in pages(owner):
        assert page.headers["Cache-Control"] == "no-store"
        assert "style=" not in page.text
        assert " onclick" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert EMAIL in owner.get("/account").text
