"""Passkeys: a key made of software signs in, and what is signed for another page, purpose or time does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from tests.app.authenticator import PRESENT, VERIFIED, Authenticator, encoded
from tests.app.browser import PASSWORD, Browser, add_account, options_on
from tests.app.conftest import Postgres


@pytest.fixture
def key() -> Authenticator:
    """A security key."""
    return Authenticator()


@pytest.fixture
def known(trial: Flask, key: Authenticator) -> Browser:
    """A browser in which somebody has just signed in for the first time, with the key."""
    add_account(trial)
    browser = Browser(trial)
    browser.give_password()
    browser.post("/auth/login/enrol", credential=key.create(options_on(browser.page)), name="Blue key")
    assert browser.session
    return browser


def psql(site: Flask, postgres: Postgres, sql: str) -> str:
    """Run SQL on the site's database."""
    return postgres.psql(site.extensions["urls"].name, sql)


def asked(trial: Flask) -> Browser:
    """Return a browser at the page that asks for the second factor."""
    browser = Browser(trial)
    assert browser.give_password().request.path == "/auth/login/factor"
    return browser


def show(browser: Browser, credential: str) -> bool:
    """Send an answer of a key, and tell whether somebody is signed in."""
    browser.post("/auth/login/factor", credential=credential)
    return browser.session is not None


def test_somebody_enrols_a_key_and_signs_in_with_it(
    trial: Flask, postgres: Postgres, known: Browser, key: Authenticator
) -> None:
    assert "Passkey “Blue key”, not used yet" in known.get("/account").text
    browser = asked(trial)
    page = browser.page
    assert page is not None
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    options = options_on(page)
    assert options["rpId"] == "www.example.org"
    assert options["userVerification"] == "required"
    assert len(options["challenge"]) >= 22
    assert show(browser, key.get(options))
    assert "last used" in browser.get("/account").text
    assert psql(trial, postgres, "SELECT transports, sign_count FROM passkeys") == '["usb"]|2'


def test_a_page_without_a_passkey_runs_no_script(trial: Flask) -> None:
    add_account(trial)
    Browser(trial).sign_in()
    page = asked(trial).page
    assert page is not None
    assert "<script" not in page.text


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://www.example.org"},
        {"origin": "https://www.example.org:8443"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"flags": 0},
    ],
)
def test_a_key_that_signs_for_another_page_or_without_its_owner_is_refused(
    trial: Flask, known: Browser, key: Authenticator, changed: dict[str, Any]
) -> None:
    browser = asked(trial)
    assert not show(browser, key.get(options_on(browser.page), **changed))
    assert "The passkey could not be used" in browser.page.text  # type: ignore[union-attr]


def test_another_key_is_refused_though_it_says_that_it_is_the_known_one(
    trial: Flask, known: Browser, key: Authenticator
) -> None:
    browser, other = asked(trial), Authenticator()
    assert not show(browser, other.get(options_on(browser.page)))
    other.id = key.id
    browser.get("/auth/login/factor")
    assert not show(browser, other.get(options_on(browser.page)))


def test_an_answer_is_taken_once_and_at_the_browser_that_was_asked(
    trial: Flask, known: Browser, key: Authenticator
) -> None:
    first, second = asked(trial), asked(trial)
    answer = key.get(options_on(first.page))
    assert not show(second, answer), "asked at another browser"
    assert show(first, answer)
    third = asked(trial)
    assert not show(third, answer), "given before"


def test_a_challenge_is_good_for_its_purpose_alone(trial: Flask, known: Browser, key: Authenticator) -> None:
    known.get("/account/prove")
    proof = options_on(known.page)
    browser = asked(trial)
    assert not show(browser, key.get(proof)), "asked for a change of factors"
    known.get("/account/factors/new")
    enrolment = options_on(known.page)
    browser.get("/auth/login/factor")
    assert not show(browser, key.get({**enrolment, "rpId": "www.example.org"})), "asked for a new key"


def test_a_challenge_ends_after_five_minutes(
    trial: Flask, postgres: Postgres, known: Browser, key: Authenticator
) -> None:
    browser = asked(trial)
    assert psql(trial, postgres, "SELECT max(expires_at) - now() < interval '5 minutes' FROM challenges") == "t"
    psql(trial, postgres, "UPDATE challenges SET expires_at = now()")
    assert not show(browser, key.get(options_on(browser.page)))


def test_a_key_that_counts_backwards_is_a_copy_and_is_refused(trial: Flask, known: Browser, key: Authenticator) -> None:
    browser = asked(trial)
    key.count = 0
    assert not show(browser, key.get(options_on(browser.page)))


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        "[]",
        "null",
        '"x"',
        "not JSON",
        "[" * 5_000,
        json.dumps({"response": {"clientDataJSON": "%%%"}}),
        json.dumps({"response": {"clientDataJSON": encoded(b"[]")}}),
        json.dumps({"response": {"clientDataJSON": encoded(b'{"challenge": 5}')}}),
        json.dumps({"response": {"clientDataJSON": encoded(b"\xff\xfe")}}),
        "x" * 100_000,
    ],
)
def test_what_is_no_answer_is_refused_and_is_no_error(trial: Flask, known: Browser, answer: str) -> None:
    browser = asked(trial)
    assert browser.post("/auth/login/factor", credential=answer).status_code == 403
    assert browser.session is None


@pytest.mark.parametrize("part", ["id", "rawId", "type", "response", "authenticatorData", "signature"])
@pytest.mark.parametrize("value", [None, 5, "", "AAAA", {}, []])
def test_an_answer_with_a_wrong_part_is_refused_and_is_no_error(
    trial: Flask, known: Browser, key: Authenticator, part: str, value: Any
) -> None:
    browser = asked(trial)
    answer = json.loads(key.get(options_on(browser.page)))
    if part in answer:
        answer[part] = {**answer["response"], "signature": value} if part == "response" else value
    else:
        answer["response"][part] = value
    # Read by nobody: `rawId` is what counts.
    harmless = part == "id" and value == answer["rawId"]
    assert browser.post("/auth/login/factor", credential=json.dumps(answer)).status_code == (200 if harmless else 403)


def test_a_key_is_enrolled_once_and_by_one_person(trial: Flask, known: Browser, key: Authenticator) -> None:
    add_account(trial, "other@example.org")
    other = Browser(trial)
    other.give_password(PASSWORD, "other@example.org")
    answer = other.post("/auth/login/enrol", credential=key.create(options_on(other.page)), name="Stolen")
    assert answer.status_code == 403
    assert other.session is None


@pytest.mark.parametrize(
    "changed", [{"origin": "https://evil.example"}, {"flags": PRESENT}, {"flags": VERIFIED}],
)  # fmt: skip
def test_a_key_that_was_made_for_another_page_or_without_its_owner_is_not_enrolled(
    trial: Flask, key: Authenticator, changed: dict[str, Any]
) -> None:
    add_account(trial)
    browser = Browser(trial)
    browser.give_password()
    answer = browser.post("/auth/login/enrol", credential=key.create(options_on(browser.page), **changed))
    assert answer.status_code == 403
    assert browser.session is None
