"""SAML on PostgreSQL with the app's own role, and at two instances at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from scaffold import sessions
from scaffold.database import db
from scaffold.moments import now
from scaffold.saml import keys, tables, transactions, trust
from scaffold.saml.idp_metadata import Metadata
from scaffold.saml.settings import Saml
from scaffold.settings import Settings
from sqlalchemy import func, make_url, select

from tests.app import conftest
from tests.app.conftest import Postgres, running
from tests.app.saml import idp
from tests.app.saml.conftest import Browser, count_sessions, events, reasons
from tests.app.saml.idp import LogoutSaid, encoded, logout_request, pair, query, said_to, signed

POSTS = 20


@pytest.fixture
def instances(settings: Settings, saml: Saml, postgres: Postgres, migrated: str) -> Iterator[tuple[Flask, Flask]]:
    """Two instances of the app on one database."""
    urls = postgres.copy(migrated)
    here = replace(settings, database_url=make_url(urls.app).set(host=postgres.address), saml=saml)
    with running(here) as first, running(here) as second:
        yield first, second
    postgres.psql("postgres", f"DROP DATABASE {urls.name} WITH (FORCE)")


def test_46_of_twenty_posts_of_one_answer_at_once_one_gets_in(instances: tuple[Flask, Flask]) -> None:
    first, second = instances
    browser = Browser(first.test_client(), first)
    for _ in range(3):
        asked = browser.begin("?next=/account")
        cookie = browser.client.get_cookie("__Host-saml_tx", domain="www.example.org")
        assert cookie
        message, value = encoded(signed(said_to(asked))), cookie.value
        before, answers, ready = count_sessions(first), [], threading.Barrier(POSTS)

        def post(number: int, message: str = message, asked: idp.Asked = asked, value: str = value) -> None:
            app = instances[number % 2]
            another = Browser(app.test_client(), app)
            another.client.set_cookie("__Host-saml_tx", value, domain="www.example.org", secure=True)
            ready.wait()  # noqa: B023 - it is waited for below, before there is another
            answers.append(another.post(message, asked.relay_state).status_code)  # noqa: B023

        threads = [threading.Thread(target=post, args=(number,)) for number in range(POSTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [303] + [403] * (POSTS - 1)
        assert count_sessions(first) == before + 1
        assert count_sessions(second) == before + 1
    found = reasons(first)
    assert found.count(("authn_login_success", None)) == 3
    assert {reason for event, reason in found if event == "authn_login_fail"} == {"request_consumed"}


def test_somebody_signs_in_at_one_instance_and_is_signed_out_at_another(instances: tuple[Flask, Flask]) -> None:
    first, second = instances
    browser = Browser(first.test_client(), first)
    assert browser.sign_in(session_index="_one").status_code == 303
    elsewhere = Browser(second.test_client(), second)
    asked = query(logout_request(LogoutSaid(session_indexes=("_one",))))
    assert elsewhere.logout(asked).status_code == 303
    assert elsewhere.logout(asked).status_code == 403
    assert count_sessions(first) == 0


def test_what_a_log_cannot_hold_keeps_no_line_out_of_it(instances: tuple[Flask, Flask]) -> None:
    """PostgreSQL takes no character of number nought, and whoever sends one must not go unnoticed for it."""
    first, _ = instances
    browser = Browser(first.test_client(), first)
    asked = query(logout_request(LogoutSaid())).replace("SigAlg=", "SigAlg=%00%0d%0a%ff")
    assert browser.logout(asked).status_code == 403
    found = events(first)[-1]
    assert found.reason == "signature_algorithm"
    assert found.detail["algorithm"].startswith("\N{REPLACEMENT CHARACTER}" * 4)


def test_what_is_over_is_swept_while_others_do_the_same(instances: tuple[Flask, Flask]) -> None:
    first, second = instances
    Browser(first.test_client(), first).sign_in()
    later = now() + 10 * transactions.LIFETIME
    with first.app_context():
        transactions.sweep(later)
        with second.app_context():
            transactions.sweep(later)
            db.session.commit()
        db.session.commit()
        assert db.session.scalar(select(func.count()).select_from(tables.Transaction)) == 0
        assert db.session.scalar(select(func.count()).select_from(tables.ConsumedMessage)) == 0
        assert db.session.scalar(select(func.count()).select_from(sessions.Row)) == 1


def test_metadata_is_kept_and_one_instance_alone_fetches_it(instances: tuple[Flask, Flask], saml: Saml) -> None:
    blank = replace(saml, idp_certificates=(), sso_url=None, metadata_url="https://login.example.net/metadata")
    claims, ready = [], threading.Barrier(2)

    def claim(app: Flask) -> None:
        with app.app_context():
            ready.wait()
            claims.append(trust.claim(blank))
            db.session.remove()

    threads = [threading.Thread(target=claim, args=(app,)) for app in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [False, True]
    first, second = instances
    certificate = keys.certificate(pair("idp").pem)
    with first.app_context():
        found = trust.keep(blank, Metadata(idp.ISSUER, idp.SSO_URL, None, (certificate,)), now())
        db.session.commit()
        assert found == [certificate]
    with second.app_context():
        assert trust.current(blank).certificates == (certificate.pem,)
        assert trust.distrust(blank, certificate.fingerprint)


def test_the_tables_are_what_the_models_say(postgres: Postgres, migrated: str) -> None:
    urls = postgres.copy(migrated)
    for command in (("check",), ("downgrade", "0003"), ("upgrade",)):
        done = conftest.flask(postgres, urls.owner, "db", *command)
        assert done.returncode == 0, done.stdout + done.stderr
    postgres.psql("postgres", f"DROP DATABASE {urls.name} WITH (FORCE)")
