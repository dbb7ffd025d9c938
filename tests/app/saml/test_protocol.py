"""Answers that are right in themselves, at the wrong browser, at the wrong time, for the second time, or for nobody."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from scaffold import sessions, users
from scaffold.database import db
from scaffold.moments import now
from scaffold.saml import tables, transactions, wire
from scaffold.saml.refusal import Refusal
from scaffold.saml.settings import Saml
from scaffold.settings import Settings
from sqlalchemy import delete, func, select, update

from tests.app.conftest import running
from tests.app.saml import idp
from tests.app.saml.conftest import Browser, Listener, browser_of, count_sessions, events, reasons
from tests.app.saml.idp import encoded, pair, said_to, signed

ACS = "/auth/login/saml/acs"
FAIL = "authn_login_fail"


def last(app: Flask) -> tuple[str, str | None]:
    """Return what happened last."""
    return reasons(app)[-1]


def test_40_an_answer_at_another_browser_is_refused(app: Flask, browser: Browser, listener: Listener) -> None:
    """Whoever makes somebody's browser post their own answer would have them signed in as themselves."""
    asked = browser.begin()
    message = encoded(signed(said_to(asked)))
    stranger = browser_of(app)
    assert stranger.post(message, asked.relay_state).status_code == 403
    assert last(app) == (FAIL, "no_transaction_cookie")
    stranger.begin()
    assert stranger.post(message, asked.relay_state).status_code == 403
    assert last(app) == (FAIL, "other_browser")
    assert count_sessions(app) == 0
    assert browser.post(message, asked.relay_state).status_code == 303, "and its own browser is none the worse for it"


def test_40_a_made_up_cookie_is_nobodys(app: Flask, browser: Browser) -> None:
    asked = browser.begin()
    stranger = browser_of(app)
    for value in ("x", "a" * 43, "a" * 3000):
        stranger.client.set_cookie("__Host-saml_tx", value, domain="www.example.org", secure=True)
        assert stranger.post(encoded(signed(said_to(asked)))).status_code == 403


def test_41_a_request_is_answered_once(app: Flask, browser: Browser) -> None:
    asked = browser.begin()
    assert browser.post(encoded(signed(said_to(asked))), asked.relay_state).status_code == 303
    assert browser.post(encoded(signed(said_to(asked))), asked.relay_state).status_code == 403
    assert last(app) == (FAIL, "request_consumed")
    assert count_sessions(app) == 1


def test_41_a_request_is_not_waited_for_for_ever(app: Flask, browser: Browser) -> None:
    asked = browser.begin()
    with app.app_context():
        db.session.execute(update(tables.Transaction).values(expires_at=now() - timedelta(seconds=1)))
        db.session.commit()
    assert browser.post(encoded(signed(said_to(asked))), asked.relay_state).status_code == 403
    assert last(app) == (FAIL, "request_expired")


@pytest.fixture
def other(settings: Settings, saml: Saml, app: Flask) -> Iterator[Flask]:
    """Another instance of the app, on the same database."""
    del app
    with running(replace(settings, saml=saml)) as other:
        yield other


def test_42_43_44_an_assertion_is_taken_once_wherever_and_whenever_it_comes_again(
    app: Flask, other: Flask, browser: Browser
) -> None:
    asked = browser.begin()
    message = encoded(signed(said_to(asked)))
    assert browser.post(message, asked.relay_state).status_code == 303
    elsewhere = Browser(other.test_client(), other)
    cookie = browser.client.get_cookie("__Host-saml_tx", domain="www.example.org")
    assert cookie
    elsewhere.client.set_cookie("__Host-saml_tx", cookie.value, domain="www.example.org", secure=True)
    for again in (browser, elsewhere):
        assert again.post(message, asked.relay_state).status_code == 403
        assert last(app) == (FAIL, "request_consumed")
    # Even where the request is waited for again, as when a restore has lost that it was answered.
    with app.app_context():
        db.session.execute(update(tables.Transaction).values(consumed_at=None))
        db.session.commit()
    for again in (elsewhere, browser):
        assert again.post(message, asked.relay_state).status_code == 403
        assert again.post(message, asked.relay_state).status_code == 403
    assert (FAIL, "replayed") in reasons(app)
    assert count_sessions(app) == 1


def test_45_an_assertion_in_a_new_envelope_is_the_same_one(app: Flask, browser: Browser) -> None:
    asked = browser.begin()
    root = signed(said_to(asked))
    assert browser.post(encoded(root), asked.relay_state).status_code == 303
    with app.app_context():
        db.session.execute(update(tables.Transaction).values(consumed_at=None))
        db.session.commit()
    root.set("ID", "_another_envelope")
    assert browser.post(encoded(root), asked.relay_state).status_code == 403
    assert last(app) == (FAIL, "replayed")


def test_45_a_consumed_assertion_is_remembered_for_as_long_as_it_would_be_valid(app: Flask, browser: Browser) -> None:
    browser.sign_in()
    with app.app_context():
        (kept,) = db.session.scalars(select(tables.ConsumedMessage)).all()
        # The conditions end in 65 minutes, and clocks may be five minutes apart.
        assert timedelta(minutes=69) < kept.kept_until - now() < timedelta(minutes=71)
        transactions.sweep(now() + timedelta(minutes=68))
        assert db.session.scalar(select(func.count()).select_from(tables.ConsumedMessage)) == 1
        transactions.sweep(now() + timedelta(minutes=72))
        assert db.session.scalar(select(func.count()).select_from(tables.ConsumedMessage)) == 0
        assert db.session.scalar(select(func.count()).select_from(tables.Transaction)) == 0


@pytest.mark.parametrize(
    "relay_state",
    [
        "//evil.example", "/\\evil.example", "javascript:alert(1)", "/x\r\nSet-Cookie: a=b", "x" * 10_240,
        "https://evil.example", "",
    ],
)  # fmt: skip
def test_66_a_relay_state_that_is_not_ours_leads_to_the_first_page(browser: Browser, relay_state: str) -> None:
    asked = browser.begin("?next=/account")
    answer = browser.post(encoded(signed(said_to(asked))), relay_state)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "Set-Cookie: a=b" not in str(answer.headers)


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example", "/\\evil.example", "\\/evil.example", "https://evil.example", "javascript:alert(1)",
        "/\r\na", "/\t/evil.example", "/" + "x" * 3000, "account", "", "/ä", "///evil.example", "/x y",
    ],
)  # fmt: skip
def test_66_a_wish_to_go_elsewhere_leads_to_the_first_page(wanted: str) -> None:
    assert transactions.local_path(wanted) == "/"


@pytest.mark.parametrize("wanted", ["/", "/account", "/a?b=c&d=https://x", "/a#b", "/a%2f%2fb"])
def test_66_a_page_of_this_site_is_gone_to(wanted: str) -> None:
    assert transactions.local_path(wanted) == wanted


def test_67_the_address_for_answers_takes_them_by_post_alone(browser: Browser) -> None:
    answer = browser.get(f"{ACS}?SAMLResponse=x")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_68_somebody_who_is_kept_out_stays_out(app: Flask, browser: Browser) -> None:
    assert browser.sign_in().status_code == 303
    with app.app_context():
        users.disable(db.session.scalars(select(users.User)).one())
        db.session.commit()
    assert count_sessions(app) == 0
    assert browser.sign_in().status_code == 403
    found = events(app)[-1]
    assert (found.event, found.reason) == (FAIL, "disabled")
    assert found.user_id is not None
    assert {"saml_request", "assertion"} <= found.detail.keys()
    assert count_sessions(app) == 0


def test_68_what_somebody_who_is_kept_out_brought_is_used_up(app: Flask, browser: Browser) -> None:
    browser.sign_in()
    with app.app_context():
        users.disable(db.session.scalars(select(users.User)).one())
        db.session.commit()
    asked = browser.begin()
    message = encoded(signed(said_to(asked)))
    assert browser.post(message).status_code == 403
    with app.app_context():
        users.enable(db.session.scalars(select(users.User)).one())
        db.session.commit()
    assert browser.post(message).status_code == 403
    assert last(app) == (FAIL, "request_consumed")


def test_69_nothing_that_a_client_says_of_hosts_changes_an_address(browser: Browser) -> None:
    hostile = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Port": "81",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example",
    }
    metadata = browser.get("/auth/login/saml/metadata", **hostile).text
    assert "evil" not in metadata
    assert f'Location="{idp.ACS_URL}"' in metadata
    answer = browser.get("/auth/login/saml", **hostile)
    asked = idp.Asked.of(answer.headers["Location"])
    assert asked.root.get("AssertionConsumerServiceURL") == idp.ACS_URL
    assert asked.root.findtext("saml:Issuer", None, idp.NS) == idp.ENTITY_ID
    assert answer.headers["Location"].startswith(idp.SSO_URL)
    message = encoded(signed(said_to(asked)))
    data = {"SAMLResponse": message, "RelayState": asked.relay_state}
    assert browser.client.post(ACS, base_url=idp.SITE, data=data, headers=hostile).status_code == 303


def test_70_the_session_of_before_a_login_is_dead_after_it_though_its_cookie_does_not_come_along(
    app: Flask, browser: Browser
) -> None:
    """The provider's form comes from another site: browsers keep the session's cookie (Lax) back from it."""
    browser.sign_in()
    before = browser.session
    asked = browser.begin()
    browser.client.delete_cookie("__Host-scaffold_session", domain="www.example.org")
    assert browser.post(encoded(signed(said_to(asked)))).status_code == 303
    assert browser.session != before
    assert count_sessions(app) == 1
    with app.app_context():
        old = sessions.digest(before or "")
        assert db.session.scalar(select(sessions.Row).where(sessions.Row.digest == old)) is None


def test_a_cookie_for_answers_is_sent_from_other_sites_and_the_session_is_not(browser: Browser) -> None:
    answer = browser.get("/auth/login/saml")
    (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if "saml_tx" in c]
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=None"} <= {part.strip() for part in cookie.split(";")}
    assert cookie.startswith("__Host-saml_tx=")
    assert "Domain" not in cookie
    (session,) = [c for c in browser.sign_in().headers.getlist("Set-Cookie") if "session" in c]
    assert "SameSite=Lax" in session


def test_two_tabs_that_sign_in_at_once_both_get_in(app: Flask, browser: Browser) -> None:
    first, second = browser.begin("?next=/first"), browser.begin("?next=/second")
    for asked, path in ((second, "/second"), (first, "/first")):
        answer = browser.post(encoded(signed(said_to(asked))), asked.relay_state)
        assert (answer.status_code, answer.headers["Location"]) == (303, path)


def test_a_relay_state_of_another_request_leads_to_the_first_page(browser: Browser) -> None:
    first, second = browser.begin("?next=/first"), browser.begin("?next=/second")
    answer = browser.post(encoded(signed(said_to(second))), first.relay_state)
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"", "application/x-www-form-urlencoded", 400, "no_message"),
        (b"SAMLResponse=a&SAMLResponse=b", "application/x-www-form-urlencoded", 400, "parameter_twice"),
        (b"SAMLResponse=a&RelayState=b&RelayState=c", "application/x-www-form-urlencoded", 400, "parameter_twice"),
        (b'{"SAMLResponse": "a"}', "application/json", 400, "no_message"),
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\na", "multipart/form-data", 400, "no_message"),
        (b"SAMLResponse=" + b"a" * 5_000_000, "application/x-www-form-urlencoded", 413, "oversize"),
        (b"SAMLResponse=" + b"a" * 400_000, "application/x-www-form-urlencoded", 413, "oversize"),
        (b"SAMLResponse=%FF%FE", "application/x-www-form-urlencoded", 400, "not_base64"),
    ],
)  # fmt: skip
def test_34_another_form_than_a_response_is_refused(
    app: Flask, browser: Browser, body: bytes, kind: str, status: int, reason: str
) -> None:
    browser.begin()
    assert browser.client.post(ACS, base_url=idp.SITE, data=body, content_type=kind).status_code == status
    assert last(app) == (FAIL, reason)


def test_36_what_is_deflated_is_inflated_to_a_bound() -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflater.compress(b"a" * 500_000_000) + deflater.flush()
    with pytest.raises(Refusal, match="oversize"):
        wire.inflated(bomb)


def test_62_a_plain_assertion_where_encryption_is_required_is_refused(
    settings: Settings, saml: Saml, app: Flask
) -> None:
    with running(replace(settings, saml=replace(saml, want_assertion_encrypted=True))) as strict:
        browser = Browser(strict.test_client(), strict)
        assert browser.sign_in().status_code == 403
        assert last(app) == (FAIL, "no_encrypted_assertion")
        asked = browser.begin()
        message = encoded(idp.encrypt(signed(said_to(asked)), pair("sp")))
        assert browser.post(message).status_code == 303, events(app)[-1].detail


def test_65_groups_that_were_too_many_to_send_are_not_read_as_none(settings: Settings, saml: Saml, app: Flask) -> None:
    admins = "11111111-2222-3333-4444-555555555555"
    by_groups = replace(saml, roles_from="groups", roles={admins: "admin"})
    with running(replace(settings, saml=by_groups)) as site:
        browser = Browser(site.test_client(), site)
        assert browser.sign_in(attributes=idp.entras(groups=(admins, "another group"))).status_code == 303
        with site.app_context():
            assert db.session.scalars(select(users.User)).one().roles == ["admin"]
        said = idp.entras() | {"http://schemas.microsoft.com/claims/groups.link": ("https://graph.example/",)}
        assert browser.sign_in(attributes=said).status_code == 403
        found = events(app)[-1]
        assert (found.event, found.reason) == (FAIL, "groups_overage")
        assert "use app roles" in found.detail["explanation"]
        assert browser.sign_in(attributes=idp.entras(groups="another group")).status_code == 303
        with site.app_context():
            assert db.session.scalars(select(users.User)).one().roles == []


def test_an_answer_that_nobody_can_check_is_not_looked_at(settings: Settings, saml: Saml, app: Flask) -> None:
    """Without any certificate, as before the metadata was ever fetched, the app is up and nobody gets in."""
    blank = replace(saml, idp_certificates=(), sso_url=None, metadata_url="https://login.example.net/metadata")
    with running(replace(settings, saml=blank)) as site:
        browser = Browser(site.test_client(), site)
        assert browser.get("/auth/login/saml").status_code == 503
        assert browser.get("/auth/login/saml/metadata").status_code == 200
        assert last(app) == (FAIL, "no_idp_metadata")
        with site.app_context():
            assert db.session.scalar(select(func.count()).select_from(tables.Transaction)) == 0
            db.session.execute(delete(tables.Transaction))
