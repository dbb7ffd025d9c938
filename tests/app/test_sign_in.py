"""Signing in with a password and a second factor, step by step, and what is refused on the way."""

# ruff: noqa: S608 - the names are the test's own

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from flask import Flask
from scaffold import audit, hashing

from tests.app.browser import EMAIL, PASSWORD, SESSION, Browser, add_account, field
from tests.app.conftest import Postgres, flask


def psql(site: Flask, postgres: Postgres, sql: str) -> str:
    """Run SQL on the site's database."""
    return postgres.psql(site.extensions["urls"].name, sql)


def log(site: Flask) -> list[tuple[str, Any]]:
    """Return events and reasons in the audit log, oldest first."""
    with site.app_context(), audit.engine().connect() as connection:
        return [(row["event"], row["reason"] or row["method"]) for row in reversed(audit.newest(connection, 200))]


def test_the_pages_of_passwords_are_not_there_unless_they_are_let_in(site: Flask) -> None:
    add_account(site)
    browser = Browser(site)
    for path in ("password", "factor", "new-password", "enrol"):
        assert browser.get(f"/auth/login/{path}").status_code == 404, path
    assert browser.get("/auth/login").status_code == 200
    assert "no way to sign in" in browser.get("/auth/login").text


def test_the_header_offers_what_whoever_is_there_can_do(trial: Flask) -> None:
    add_account(trial)
    browser = Browser(trial)
    for path, offered in (
        ("/", "Sign in"),
        ("/nowhere", "Sign in"),
        ("/auth/login", None),
        ("/auth/login/password", None),
    ):
        assert offers(browser.get(path).text) == offered, path
    browser.sign_in()
    for path in ("/", "/account", "/nowhere"):
        assert offers(browser.get(path).text) == "Account", path


def offers(page: str) -> str | None:
    """Return the words of the link in a page's header."""
    found = re.search(r'<nav aria-label="Account"><a href="[^"]*">([^<]*)</a></nav>', page)
    return found[1] if found else None


def test_who_signs_out_is_told_so_once(trial: Flask) -> None:
    add_account(trial)
    browser = Browser(trial)
    told = '<p class="notice" role="status">You are signed out.</p>'
    first = browser.get("/")
    assert told not in first.text
    assert "Set-Cookie" not in first.headers, "there is nothing to be kept for a stranger"
    browser.sign_in()
    browser.get("/account")
    assert told in browser.post("/auth/logout").text
    assert told not in browser.get("/").text


def test_who_has_signed_in_again_is_not_told_of_having_left(trial: Flask) -> None:
    add_account(trial)
    browser, other = Browser(trial), Browser(trial, "203.0.113.5")
    codes = browser.sign_in()
    other.give_password()
    other.post("/auth/login/factor", code=codes[0])
    assert other.session
    form = {"csrf_token": field(browser.get("/account").text, "csrf_token")}
    assert browser.client.post("/auth/logout", data=form).status_code == 303
    browser.client.set_cookie(SESSION, other.session)
    for _ in range(2):
        assert "You are signed out." not in browser.get("/account").text
        assert browser.path == "/account"


def test_somebody_signs_in_for_the_first_time_and_again_and_out(trial: Flask) -> None:
    user_id = add_account(trial)
    browser = Browser(trial)
    page = browser.get("/account")
    assert page.request.path == "/auth/login"
    assert "/auth/login/password" in page.text
    assert browser.give_password().request.path == "/auth/login/enrol"
    assert not browser.signed_in()
    codes = browser.enrol()
    assert len(set(codes)) == 10
    assert browser.signed_in()
    page = browser.get("/account")
    assert "On Call" in page.text
    assert "10 recovery codes left" in page.text
    assert browser.post("/auth/logout").request.path == "/"
    assert not browser.signed_in()
    assert browser.get("/account").request.path == "/auth/login"

    assert browser.give_password().request.path == "/auth/login/factor"
    assert browser.get("/account").request.path == "/auth/login", "a password alone opens nothing"
    browser.get("/auth/login/factor")
    assert browser.post("/auth/login/factor", code=browser.code()).request.path == "/account"
    events = [event for event, _ in log(trial)]
    assert events == [
        "authn_factor_added", "authn_login_success", "session_created", "session_ended",
        "authn_mfa_success", "authn_login_success", "session_created",
    ]  # fmt: skip
    with trial.app_context(), audit.engine().connect() as connection:
        assert {row["user_id"] for row in audit.newest(connection, 200)} == {user_id}


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        (EMAIL, "wrong password of somebody", "wrong_password"),
        (EMAIL, PASSWORD + " ", "wrong_password"),
        (EMAIL, PASSWORD.upper(), "wrong_password"),
        (EMAIL, PASSWORD + "x" * 200, "wrong_password"),
        ("nobody@example.org", PASSWORD, "unknown_account"),
        ("", "", "unknown_account"),
        ("provided@example.org", PASSWORD, "unknown_account"),
        ("disabled@example.org", PASSWORD, "disabled"),
        ("' OR 1=1 --", "x\x00y", "unknown_account"),
    ],
)
def test_whatever_is_wrong_is_answered_alike_and_noted_with_its_reason(
    trial: Flask, postgres: Postgres, email: str, password: str, reason: str
) -> None:
    add_account(trial)
    add_account(trial, "disabled@example.org")
    psql(trial, postgres, "UPDATE users SET disabled_at = now() WHERE email = 'disabled@example.org'")
    psql(trial, postgres, "INSERT INTO users (id, email) VALUES (gen_random_uuid(), 'provided@example.org')")
    browser = Browser(trial)
    answer = browser.give_password(password, email)
    assert answer.status_code == 403
    assert "The address or the password is not right" in answer.text
    assert browser.session is None
    assert log(trial) == [("authn_login_fail", reason)]


def test_a_password_is_never_in_the_log_or_the_database(
    trial: Flask, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    add_account(trial)
    browser = Browser(trial)
    browser.give_password("wrong password of somebody")
    browser.get("/auth/login/password")
    codes = browser.sign_in()
    said = capsys.readouterr().out
    kept = psql(trial, postgres, "SELECT row_to_json(a) FROM audit_events a")
    kept += psql(trial, postgres, "SELECT row_to_json(p) FROM passwords p")
    kept += psql(trial, postgres, "SELECT row_to_json(t) FROM totps t") + psql(
        trial, postgres, "SELECT row_to_json(r) FROM recovery_codes r"
    )
    for secret in (PASSWORD, "wrong password of somebody", *codes, codes[0].replace("-", ""), browser.seed.hex()):
        assert secret not in said
        assert secret not in kept


def test_after_five_wrong_passwords_the_right_one_is_not_listened_to_until_a_command_unlocks(
    trial: Flask, postgres: Postgres
) -> None:
    add_account(trial)
    browsers = [Browser(trial, f"203.0.113.{number}") for number in range(7)]
    for browser in browsers[:5]:
        assert browser.give_password("wrong password of somebody").status_code == 403
    answer = browsers[5].give_password()
    assert answer.status_code == 429
    assert 880 < int(answer.headers["Retry-After"]) <= 900
    assert [event for event, _ in log(trial)] == ["authn_login_fail"] * 5 + ["authn_login_lock"]
    done = flask(postgres, trial.extensions["urls"].app, "users", "unlock", EMAIL)
    assert "listened to again" in done.stdout, done.stdout + done.stderr
    assert browsers[6].give_password().request.path == "/auth/login/enrol"


def test_an_account_that_is_not_there_is_locked_in_the_same_way(trial: Flask) -> None:
    for number in range(5):
        assert Browser(trial, f"203.0.113.{number}").give_password("x" * 20, "nobody@example.org").status_code == 403
    assert Browser(trial, "203.0.113.9").give_password("x" * 20, "NOBODY@example.org").status_code == 429


def test_one_who_guesses_from_one_place_has_to_wait_longer_each_time(trial: Flask, postgres: Postgres) -> None:
    add_account(trial)
    browser = Browser(trial)
    waits = []
    for _ in range(4):
        answer = browser.give_password("wrong password of somebody")
        assert answer.status_code == 403
        left = "SELECT coalesce(round(extract(epoch FROM blocked_until - changed_at)), 0) FROM throttles "
        waits.append(psql(trial, postgres, left + "WHERE scope = 'place'"))
        psql(trial, postgres, "UPDATE throttles SET blocked_until = now() WHERE scope = 'place'")
    assert waits == ["0", "1", "2", "4"]


def test_of_twenty_wrong_passwords_at_once_five_are_looked_at(trial: Flask) -> None:
    add_account(trial)
    browsers = [Browser(trial, f"203.0.113.{number}") for number in range(20)]
    for browser in browsers:
        browser.get("/auth/login/password")
    barrier, statuses = threading.Barrier(len(browsers)), []

    def guess(browser: Browser) -> None:
        barrier.wait(20)
        answer = browser.post("/auth/login/password", email=EMAIL, password="wrong password of somebody")
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=guess, args=(browser,)) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(statuses) == 20
    assert set(statuses) == {403, 429}
    assert statuses.count(403) <= 5
    assert [event for event, _ in log(trial)].count("authn_login_fail") <= 5


def test_a_code_is_good_once_though_many_give_it_at_the_same_time(trial: Flask) -> None:
    add_account(trial)
    first = Browser(trial)
    first.sign_in()
    code = first.code()
    browsers = [Browser(trial) for _ in range(4)]
    for browser in browsers:
        assert browser.give_password().request.path == "/auth/login/factor"
    barrier, entered = threading.Barrier(len(browsers)), []

    def enter(browser: Browser) -> None:
        barrier.wait(20)
        browser.post("/auth/login/factor", code=code)
        entered.append(browser.session is not None)

    threads = [threading.Thread(target=enter, args=(browser,)) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(entered) == [False, False, False, True]


def test_a_recovery_code_signs_in_once_and_is_told(trial: Flask) -> None:
    add_account(trial)
    codes = Browser(trial).sign_in()
    for typed, signs_in in ((codes[0].upper().replace("-", " "), True), (codes[0], False), (codes[1], True)):
        browser = Browser(trial)
        browser.give_password()
        browser.post("/auth/login/factor", code=typed)
        assert (browser.session is not None) is signs_in, typed
    assert [event for event, _ in log(trial)].count("authn_recovery_code_used") == 2


def test_after_five_wrong_codes_the_right_one_is_not_listened_to(trial: Flask) -> None:
    add_account(trial)
    owner = Browser(trial)
    codes = owner.sign_in()
    thief = Browser(trial)
    thief.give_password()
    for wrong in ("000000", "", "abc", "9" * 300, "aaaa-" * 6):
        assert thief.post("/auth/login/factor", code=wrong).status_code == 403
    thief.get("/auth/login/factor")
    assert thief.post("/auth/login/factor", code=codes[0]).status_code == 429
    assert thief.session is None
    assert [event for event, _ in log(trial)].count("authn_mfa_lock") == 1
    assert owner.get("/account").status_code == 200, "whoever is signed in stays so"


def test_a_session_has_a_new_id_after_signing_in_and_what_was_begun_is_good_once(trial: Flask) -> None:
    add_account(trial)
    browser = Browser(trial)
    browser.client.set_cookie("__Host-scaffold_session", "f" * 43)
    browser.sign_in()
    assert browser.session != "f" * 43
    cookies = [cookie for cookie in ("__Host-scaffold_form",) if browser.client.get_cookie(cookie)]
    assert cookies
    assert browser.get("/auth/login/factor").request.path == "/", "somebody signed in is led on"


def test_what_was_begun_at_another_browser_or_too_long_ago_is_begun_again(trial: Flask, postgres: Postgres) -> None:
    add_account(trial)
    Browser(trial).sign_in()
    browser = Browser(trial)
    browser.give_password()
    psql(trial, postgres, "UPDATE pending_sign_ins SET expires_at = now()")
    assert browser.post("/auth/login/factor", code="000000").request.path == "/auth/login"
    assert Browser(trial).get("/auth/login/factor").request.path == "/auth/login"


def test_a_password_made_by_a_command_is_good_once_and_changed_before_anything_else(
    trial: Flask, postgres: Postgres
) -> None:
    url = trial.extensions["urls"].app
    done = flask(postgres, url, "users", "add", EMAIL, "--name", "On Call", "--role", "admin", "--by", "Ada")
    assert done.returncode == 0, done.stdout + done.stderr
    made = done.stdout.splitlines()[-1]
    browser = Browser(trial)
    assert browser.give_password(made).request.path == "/auth/login/new-password"
    assert browser.get("/auth/login/enrol").request.path == "/auth/login/new-password", "no step can be left out"
    for chosen, again, words in (
        ("short", "short", "needs 15 at least"),
        (PASSWORD, PASSWORD + "!", "not the same"),
        ("oncall example on call 2026", "oncall example on call 2026", "what people try first"),
        ("x" * 129, "x" * 129, "the most"),
    ):
        answer = browser.post("/auth/login/new-password", password=chosen, again=again)
        assert answer.status_code == 403
        assert words in answer.text, chosen
    assert browser.post("/auth/login/new-password", password=PASSWORD, again=PASSWORD).request.path.endswith("/enrol")
    assert browser.enrol()
    assert Browser(trial).give_password(made).status_code == 403
    assert Browser(trial).give_password().request.path == "/auth/login/factor"


def test_a_password_made_by_a_command_ends_after_three_days(trial: Flask, postgres: Postgres) -> None:
    made = flask(postgres, trial.extensions["urls"].app, "users", "add", EMAIL).stdout.splitlines()[-1]
    psql(trial, postgres, "UPDATE passwords SET expires_at = expires_at - interval '73 hours'")
    assert Browser(trial).give_password(made).status_code == 403


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [("/account", "/account"), ("//evil.example/", "/"), ("https://evil.example", "/"), ("/\\evil.example", "/")],
)
def test_whoever_came_for_a_page_is_led_there_and_nowhere_else(trial: Flask, wanted: str, reached: str) -> None:
    add_account(trial)
    Browser(trial).sign_in()
    browser = Browser(trial)
    browser.get(f"/auth/login?next={wanted}")
    browser.give_password()
    browser.post("/auth/login/factor", code=recovery_code(trial))
    assert browser.path == reached


def recovery_code(trial: Flask) -> str:
    """Give the account a recovery code and return it."""
    from scaffold.database import db
    from scaffold.factors import recovery_codes
    from scaffold.users import local_of

    with trial.app_context():
        user = local_of(EMAIL)
        assert user is not None
        codes = recovery_codes.issue(user.id)
        db.session.commit()
    return codes[0]


def test_signing_out_is_asked_for_by_a_form_and_not_by_a_link(trial: Flask) -> None:
    add_account(trial)
    browser = Browser(trial)
    browser.sign_in()
    assert browser.get("/auth/logout").status_code == 405
    answer = browser.client.post("/auth/logout")
    assert answer.status_code == 403
    assert browser.session


def test_a_password_of_old_parameters_is_kept_anew(
    trial: Flask, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    from argon2 import PasswordHasher

    add_account(trial)
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    psql(trial, postgres, f"UPDATE passwords SET hash = '{old}'")
    # Production's, which other tests of pages do without.
    monkeypatch.setattr(hashing, "MEMORY_KIB", 46 * 1024)
    assert Browser(trial).give_password().request.path == "/auth/login/enrol"
    assert "m=47104,t=1,p=1" in psql(trial, postgres, "SELECT hash FROM passwords")


def test_an_account_is_unknown_to_the_reader_of_the_throttles(trial: Flask, postgres: Postgres) -> None:
    Browser(trial).give_password("x" * 20)
    assert EMAIL.encode().hex() not in psql(trial, postgres, "SELECT encode(key, 'hex') FROM throttles")
