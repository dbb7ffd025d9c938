"""Break-glass access in production: opened by a command for one account and a time, seen, and closed by itself."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from flask import Flask
from scaffold import audit
from sqlalchemy import make_url

from tests.app.browser import EMAIL, PASSWORD, Browser, add_account
from tests.app.conftest import Postgres, flask, running

REASON = "the identity provider does not answer"


def command(site: Flask, postgres: Postgres, *words: str, **env: str) -> str:
    """Run a command on the site's database as the app's own role, and return what it prints."""
    done = flask(postgres, site.extensions["urls"].app, *words, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(site: Flask, postgres: Postgres, *words: str) -> str:
    """Run a command that must fail, and return what it prints."""
    done = flask(postgres, site.extensions["urls"].app, *words)
    assert done.returncode != 0
    return done.stdout + done.stderr


def open_for(site: Flask, postgres: Postgres, email: str = EMAIL, minutes: int = 30) -> str:
    """Open the door for an account."""
    return command(
        site, postgres, "breakglass", "open", "--user", email, "--minutes", str(minutes), "--reason", REASON,
        "--by", "Ada",
    )  # fmt: skip


def psql(site: Flask, postgres: Postgres, sql: str) -> str:
    """Run SQL on the site's database."""
    return postgres.psql(site.extensions["urls"].name, sql)


def log(site: Flask) -> list[tuple[str, str | None]]:
    """Return events and reasons in the audit log, oldest first."""
    with site.app_context(), audit.engine().connect() as connection:
        return [(row["event"], row["reason"]) for row in reversed(audit.newest(connection, 200))]


def test_a_drill(site: Flask, postgres: Postgres) -> None:
    """The whole of it as it is practised: made, opened, used by its owner alone, seen, closed."""
    made = command(site, postgres, "users", "add", EMAIL, "--role", "admin").splitlines()[-1]
    add_account(site, "other@example.org")
    browser = Browser(site)
    assert browser.get("/auth/login/password").status_code == 404
    assert "may sign in with a password until" in open_for(site, postgres)
    assert browser.give_password(made).request.path == "/auth/login/new-password"
    browser.post("/auth/login/new-password", password=PASSWORD, again=PASSWORD)
    browser.enrol()
    assert browser.signed_in()
    assert browser.get("/audit").status_code == 200
    bounds = "SELECT idle_seconds, round(extract(epoch FROM expires_at - created_at)) FROM sessions"
    assert psql(site, postgres, bounds) == "900|3600"

    other = Browser(site, "203.0.113.8")
    assert other.give_password(PASSWORD, "other@example.org").status_code == 403
    assert ("authn_login_fail", "not_opened") in log(site)

    assert f"OPEN    {EMAIL}" in command(site, postgres, "breakglass", "status")
    assert command(site, postgres, "breakglass", "close").splitlines()[-1].startswith("Closed: 1. Sessions that")
    assert browser.get("/account").request.path == "/auth/login"
    assert browser.get("/auth/login/password").status_code == 404
    status = command(site, postgres, "breakglass", "status")
    assert f"closed  {EMAIL}" in status
    assert f"by Ada: {REASON}" in status
    told = [event for event, _ in log(site)]
    for event in ("authn_break_glass_opened", "authn_break_glass_used", "authn_break_glass_closed"):
        assert told.count(event) == 1


def test_it_closes_by_itself_and_whoever_is_half_way_in_stays_outside(site: Flask, postgres: Postgres) -> None:
    add_account(site)
    open_for(site, postgres)
    browser = Browser(site)
    browser.give_password()
    psql(site, postgres, "UPDATE break_glass_openings SET until = now()")
    assert browser.post("/auth/login/enrol", code="000000").status_code == 404
    assert browser.get("/auth/login/password").status_code == 404
    assert not browser.signed_in()


def test_opening_it_for_another_lets_nobody_half_way_in_go_on(site: Flask, postgres: Postgres) -> None:
    add_account(site)
    add_account(site, "other@example.org")
    open_for(site, postgres)
    browser = Browser(site)
    assert browser.give_password().request.path == "/auth/login/enrol"
    command(site, postgres, "breakglass", "close")
    open_for(site, postgres, "other@example.org")
    assert browser.get("/auth/login/enrol").request.path == "/auth/login"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--user", EMAIL, "--reason", "x"), "wanted what happened"),
        (("--user", EMAIL), "--reason"),
        (("--user", EMAIL, "--reason", REASON, "--minutes", "61"), "61"),
        (("--user", EMAIL, "--reason", REASON, "--minutes", "0"), "0"),
        (("--user", "nobody@example.org", "--reason", REASON), "flask users add"),
        (("--user", "provided@example.org", "--reason", REASON), "no local account"),
        (("--user", "bare@example.org", "--reason", REASON), "has no password"),
        (("--user", "disabled@example.org", "--reason", REASON), "is disabled"),
    ],
)
def test_it_is_not_opened_without_a_reason_for_too_long_or_for_nobody(
    site: Flask, postgres: Postgres, words: tuple[str, ...], said: str
) -> None:
    add_account(site)
    add_account(site, "bare@example.org", None)
    add_account(site, "disabled@example.org")
    psql(site, postgres, "UPDATE users SET disabled_at = now() WHERE email = 'disabled@example.org'")
    psql(site, postgres, "INSERT INTO users (id, email) VALUES (gen_random_uuid(), 'provided@example.org')")
    assert said in refused(site, postgres, "breakglass", "open", *words)
    assert psql(site, postgres, "SELECT count(*) FROM break_glass_openings") == "0"


def test_from_elsewhere_than_the_networks_of_the_setting_there_is_no_such_page(site: Flask, postgres: Postgres) -> None:
    add_account(site)
    open_for(site, postgres)
    settings = site.extensions["settings"]
    url = make_url(site.extensions["urls"].app).set(host=postgres.address)
    inside = (ipaddress.ip_network("198.51.100.0/24"),)
    with running(replace(settings, database_url=url, password_login_networks=inside)) as narrow:
        assert Browser(narrow, "203.0.113.9").get("/auth/login/password").status_code == 404
        assert Browser(narrow, "198.51.100.9").get("/auth/login/password").status_code == 200
        assert "With address and password" not in Browser(narrow, "203.0.113.9").get("/auth/login").text
