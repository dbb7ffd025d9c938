"""Commands about people, sessions, keys and the audit log, run as whoever may run them in a web container does."""

# ruff: noqa: S608 - the names are the test's own

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from flask import Flask

from tests.app.browser import EMAIL, PASSWORD, Browser, add_account
from tests.app.conftest import SECRET_KEY, Postgres, flask

NEW_KEY = "n3w-0f-tests-abcdefghijklmnopqrstuvwxyz"


def run(site: Flask, postgres: Postgres, *words: str, **env: str) -> str:
    """Run a command on the site's database as the app's own role, and return what it prints."""
    done = flask(postgres, site.extensions["urls"].app, *words, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(site: Flask, postgres: Postgres, *words: str, **env: str) -> str:
    """Run a command that must fail, and return what it prints."""
    done = flask(postgres, site.extensions["urls"].app, *words, **env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


def psql(site: Flask, postgres: Postgres, sql: str) -> str:
    """Run SQL on the site's database."""
    return postgres.psql(site.extensions["urls"].name, sql)


def logged(site: Flask, postgres: Postgres) -> dict[str, Any]:
    """Return the newest row of the audit log: its event, and what it tells."""
    return dict(json.loads(run(site, postgres, "audit", "list", "--limit", "1")))


def test_people_are_made_listed_and_given_roles(site: Flask, postgres: Postgres) -> None:
    assert run(site, postgres, "users", "list") == "Nobody yet.\n"
    run(site, postgres, "users", "add", EMAIL, "--name", "On Call", "--role", "editor", "--by", "Ada")
    assert logged(site, postgres)["detail"] == {"by": "Ada", "roles": "editor"}
    assert EMAIL in run(site, postgres, "users", "list")
    run(site, postgres, "users", "roles", EMAIL.upper(), "--role", "admin", "--role", "editor")
    assert run(site, postgres, "users", "list").split()[-1] == "admin,editor"
    assert logged(site, postgres)["event"] == "privilege_permissions_changed"
    assert "is there already" in refused(site, postgres, "users", "add", EMAIL)
    assert "wanted an address" in refused(site, postgres, "users", "add", "oncall")
    assert "wanted a short name" in refused(site, postgres, "users", "add", "b@example.org", "--role", "No Role")
    assert psql(site, postgres, "SELECT count(*) FROM users") == "1"


def test_a_person_is_kept_out_and_let_in_by_address_or_id(trial: Flask, postgres: Postgres) -> None:
    user_id = add_account(trial)
    browser = Browser(trial)
    browser.sign_in()
    run(trial, postgres, "users", "disable", EMAIL)
    assert browser.get("/account").request.path == "/auth/login"
    assert Browser(trial).give_password().status_code == 403
    run(trial, postgres, "users", "enable", str(user_id))
    assert Browser(trial).give_password().request.path == "/auth/login/factor"
    told = "SELECT string_agg(event, ',' ORDER BY id) FROM audit_events WHERE method = 'command'"
    assert psql(trial, postgres, told) == "user_disabled,user_enabled"


def test_an_address_that_is_two_peoples_is_not_guessed_at(site: Flask, postgres: Postgres) -> None:
    for _ in range(2):
        psql(site, postgres, f"INSERT INTO users (id, email) VALUES (gen_random_uuid(), '{EMAIL}')")
    said = refused(site, postgres, "users", "disable", EMAIL)
    assert "2 people have the address" in said
    assert "nobody has" in refused(site, postgres, "users", "disable", str(uuid.uuid4()))
    assert psql(site, postgres, "SELECT count(*) FROM users WHERE disabled_at IS NULL") == "2"


def test_a_new_password_and_lost_factors_sign_somebody_out_and_begin_anew(trial: Flask, postgres: Postgres) -> None:
    add_account(trial)
    browser = Browser(trial)
    browser.sign_in()
    made = run(trial, postgres, "users", "password", EMAIL).splitlines()[-1]
    assert browser.get("/account").request.path == "/auth/login"
    assert Browser(trial).give_password(PASSWORD).status_code == 403
    again = Browser(trial, "203.0.113.5")
    assert again.give_password(made).request.path == "/auth/login/factor", "the factor is asked for all the same"
    run(trial, postgres, "users", "reset-factors", EMAIL)
    fresh = Browser(trial, "203.0.113.6")
    assert fresh.give_password(made).request.path == "/auth/login/new-password"


def test_sessions_are_revoked_for_one_or_for_all_and_not_by_mistake(trial: Flask, postgres: Postgres) -> None:
    add_account(trial)
    add_account(trial, "other@example.org")
    one, other = Browser(trial), Browser(trial, "203.0.113.5")
    one.sign_in()
    other.sign_in(PASSWORD, "other@example.org")
    for words in ((), ("--user", EMAIL, "--all")):
        assert "wanted one of them" in refused(trial, postgres, "sessions", "revoke", *words)
    assert run(trial, postgres, "sessions", "revoke", "--user", EMAIL).endswith("Sessions that were ended: 1.\n")
    assert one.get("/account").request.path == "/auth/login"
    assert other.get("/account").request.path == "/account"
    assert run(trial, postgres, "sessions", "revoke", "--all").endswith("Sessions that were ended: 1.\n")
    assert other.get("/account").request.path == "/auth/login"


def test_the_log_is_looked_at_and_what_was_changed_in_it_is_named(site: Flask, postgres: Postgres) -> None:
    assert "whole: no event" in run(site, postgres, "audit", "verify")
    for name in ("a", "b", "c"):
        run(site, postgres, "users", "add", f"{name}@example.org")
    assert "whole: all 3 events" in run(site, postgres, "audit", "verify")
    psql(site, postgres, "SET session_replication_role = replica; UPDATE audit_events SET event = 'x' WHERE id = 2")
    assert "look at event 2" in refused(site, postgres, "audit", "verify")


def test_the_key_of_seeds_changes_while_people_sign_in(trial: Flask, postgres: Postgres) -> None:
    add_account(trial)
    browser = Browser(trial)
    old = "0ld-0f-tests-abcdefghijklmnopqrstuvwxyz"
    settings = trial.extensions["settings"]
    object.__setattr__(settings, "factor_keys", (old,))
    codes = browser.sign_in()
    assert codes
    keys = {"FACTOR_KEY": NEW_KEY, "FACTOR_KEY_FALLBACKS": old}
    assert "today: 0; with an old key: 1; with a key that is gone: 0" in run(trial, postgres, "keys", "status", **keys)
    assert "Encrypted anew: 1." in run(trial, postgres, "keys", "renew", **keys)
    assert "Encrypted anew: 0." in run(trial, postgres, "keys", "renew", **keys)
    object.__setattr__(settings, "factor_keys", (NEW_KEY,))
    again = Browser(trial)
    again.give_password()
    again.post("/auth/login/factor", code=browser.code())
    assert again.signed_in()
    assert browser.get("/account").request.path == "/account", "nobody was signed out"
    assert "gone: 1" in run(trial, postgres, "keys", "status", FACTOR_KEY=old)
    assert "FACTOR_KEY_FALLBACKS" in refused(trial, postgres, "keys", "renew", FACTOR_KEY=old)


def test_without_a_key_of_their_own_seeds_are_kept_with_the_sites_and_move_on_to_one(
    trial: Flask, postgres: Postgres
) -> None:
    add_account(trial)
    object.__setattr__(trial.extensions["settings"], "factor_keys", (SECRET_KEY,))
    Browser(trial).sign_in()
    assert "today: 1" in run(trial, postgres, "keys", "status", SECRET_KEY=SECRET_KEY)
    both = {"SECRET_KEY": SECRET_KEY, "FACTOR_KEY": NEW_KEY}
    assert "old key: 1" in run(trial, postgres, "keys", "status", **both)
    run(trial, postgres, "keys", "renew", **both)
    assert "today: 1" in run(trial, postgres, "keys", "status", FACTOR_KEY=NEW_KEY)
    assert "run this in a web container" in refused(trial, postgres, "keys", "renew")


def test_a_key_that_is_made_is_taken_as_one(site: Flask, postgres: Postgres) -> None:
    key = run(site, postgres, "keys", "make").strip()
    assert len(key) == 64
    assert "today: 0" in run(site, postgres, "keys", "status", FACTOR_KEY=key)


@pytest.mark.parametrize("words", [("users", "list"), ("breakglass", "status"), ("audit", "verify")])
def test_a_database_that_is_not_there_is_one_line_without_a_password(
    site: Flask, postgres: Postgres, words: tuple[str, ...]
) -> None:
    absent = site.extensions["urls"].app.replace(":5432", ":5433")
    done = flask(postgres, absent, *words)
    assert done.returncode == 1
    assert "the database could not be asked" in done.stdout
    assert "app-s3cret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
