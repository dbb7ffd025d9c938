"""Who somebody is here, what they are called, and what they may do, by what the provider says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from scaffold import sessions, users
from scaffold.database import db
from scaffold.moments import now
from scaffold.saml import keys
from scaffold.saml.settings import Claims, Saml
from scaffold.settings import Settings
from sqlalchemy import select

from tests.app.conftest import running
from tests.app.saml import idp
from tests.app.saml.conftest import Browser, browser_of, count_sessions, events, reasons
from tests.app.saml.idp import How, encoded, pair, said_to, signed

Variant = Callable[..., Browser]
FAIL = "authn_login_fail"


@pytest.fixture
def variant(settings: Settings, saml: Saml, app: Flask) -> Iterator[Variant]:
    """Makes a browser at the app with some of its settings changed, on the same database."""
    del app
    with ExitStack() as stack:

        def make(**changed: Any) -> Browser:
            site = stack.enter_context(running(replace(settings, saml=replace(saml, **changed))))
            return browser_of(site)

        yield make


def people(app: Flask) -> list[users.User]:
    """Return everybody who is known."""
    with app.app_context():
        return list(db.session.scalars(select(users.User).order_by(users.User.created_at, users.User.id)))


def test_somebody_is_known_again_whatever_else_has_changed(app: Flask, browser: Browser) -> None:
    browser.sign_in()
    browser_of(app).sign_in(
        attributes=idp.entras(displayname="Ada King", emailaddress="king@example.org"), name_id="another-name"
    )
    (user,) = people(app)
    assert (user.display_name, user.email) == ("Ada King", "king@example.org")


def test_an_address_makes_nobody_somebody_else(app: Flask, browser: Browser) -> None:
    """Addresses are mutable, and whoever may set one could be anybody."""
    browser.sign_in()
    other = "bbbbbbbb-1111-2222-3333-444444444444"
    browser_of(app).sign_in(attributes=idp.entras(objectidentifier=other))
    assert [user.email for user in people(app)] == ["ada@example.org", "ada@example.org"]


def test_an_identifier_is_the_same_in_either_case(app: Flask, browser: Browser) -> None:
    browser.sign_in()
    browser_of(app).sign_in(attributes=idp.entras(objectidentifier=idp.PERSON.upper(), tenantid=idp.TENANT.upper()))
    assert len(people(app)) == 1


def test_roles_are_those_of_the_last_login_and_a_change_ends_the_other_sessions(app: Flask, browser: Browser) -> None:
    browser.sign_in(attributes=idp.entras(role=("Site.Admin", "Reader")))
    assert people(app)[0].roles == ["admin", "reader"]
    browser_of(app).sign_in(attributes=idp.entras(role=("Reader", "Site.Admin")))
    assert count_sessions(app) == 2
    browser_of(app).sign_in(attributes=idp.entras())
    assert people(app)[0].roles == [], "a role that is not sent any more is gone"
    assert count_sessions(app) == 1


def test_roles_are_left_alone_where_the_provider_decides_about_none(app: Flask, variant: Variant) -> None:
    browser = variant(roles_from="none")
    browser.sign_in()
    with app.app_context():
        users.give_roles(db.session.scalars(select(users.User)).one(), ("admin",))
        db.session.commit()
    browser.sign_in(attributes=idp.entras(role="whatever"))
    assert people(app)[0].roles == ["admin"]


def test_names_of_attributes_are_a_setting(app: Flask, variant: Variant) -> None:
    said = {"t": ("home",), "uid": ("ada",), "mail": ("ada@example.org",), "cn": ("Ada",)}
    issuer = "https://idp.example.net/metadata"
    browser = variant(claims=Claims(tenant="t", object_id="uid", email="mail", display_name="cn"), idp_entity_id=issuer)
    assert browser.sign_in(attributes=said, issuer=issuer).status_code == 303
    (user,) = people(app)
    assert (user.email, user.display_name) == ("ada@example.org", "Ada")


def test_a_persistent_name_can_be_the_key(app: Flask, variant: Variant) -> None:
    browser = variant(user_key="name-id", roles_from="none")
    assert browser.sign_in(attributes={}).status_code == 303
    assert browser.sign_in(attributes={}).status_code == 303
    assert len(people(app)) == 1
    browser = variant(user_key="name-id", roles_from="none")
    email = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
    assert browser.sign_in(attributes={}, name_id_format=email).status_code == 403
    assert reasons(app)[-1] == (FAIL, "name_id_not_persistent")


def test_more_than_a_password_can_be_required_of_the_provider(app: Flask, variant: Variant) -> None:
    browser = variant(require_mfa=True)
    assert browser.sign_in().status_code == 303
    password = "http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password"
    assert browser.sign_in(attributes=idp.entras(authnmethodsreferences=password)).status_code == 403
    assert reasons(app)[-1] == (FAIL, "no_multiple_authentication")
    assert "Conditional Access" in events(app)[-1].detail["explanation"]
    assert browser.sign_in(attributes=idp.entras(authnmethodsreferences=None)).status_code == 403


def test_somebody_who_is_asked_anew_must_have_proved_it_since(app: Flask, browser: Browser) -> None:
    asked = browser.begin("?reauthenticate=1")
    assert asked.root.get("ForceAuthn") == "true"
    assert browser.post(encoded(signed(said_to(asked, authenticated=idp.after(-3600))))).status_code == 403
    assert reasons(app)[-1] == (FAIL, "not_authenticated_anew")
    asked = browser.begin("?reauthenticate=1")
    assert browser.post(encoded(signed(said_to(asked, authenticated=idp.after(0))))).status_code == 303
    asked = browser.begin()
    assert asked.root.get("ForceAuthn") is None
    assert browser.post(encoded(signed(said_to(asked, authenticated=idp.after(-3600))))).status_code == 303


def test_a_session_ends_when_the_provider_wants_it_to(app: Flask, browser: Browser) -> None:
    browser.sign_in(session_ends=idp.after(600))
    with app.app_context():
        row = db.session.scalars(select(sessions.Row)).one()
        assert timedelta(seconds=590) < row.expires_at - now() <= timedelta(seconds=600)
        assert (row.issuer, row.name_id, row.method) == (idp.ISSUER, idp.NAME_ID, "saml")


def test_the_whole_response_can_be_what_is_signed(variant: Variant) -> None:
    browser = variant(want_assertion_signed=False, want_response_signed=True)
    asked = browser.begin()
    assert browser.post(encoded(signed(said_to(asked), whole=True, part=False))).status_code == 303
    asked = browser.begin()
    assert browser.post(encoded(signed(said_to(asked)))).status_code == 403
    asked = browser.begin()
    root = signed(said_to(asked), whole=True, part=False)
    root.find(".//saml:NameID", idp.NS).text = "somebody-else"
    assert browser.post(encoded(root)).status_code == 403
    asked = browser.begin()
    both = signed(said_to(asked), whole=True)
    assert browser.post(encoded(both)).status_code == 303


@pytest.mark.parametrize("prefixed", [False, True], ids=["as Entra", "with a prefix"])
@pytest.mark.parametrize("signer", ["own", "xmlsec"])
def test_right_answers_of_other_makers_are_taken(browser: Browser, prefixed: bool, signer: str) -> None:
    asked = browser.begin()
    said = said_to(asked, prefixed=prefixed)
    if signer == "own":
        root = signed(said)
    else:
        root = idp.response(said)
        idp.sign_with_xmlsec(root.find("saml:Assertion", idp.NS), pair("idp"))
    assert browser.post(encoded(root), asked.relay_state).status_code == 303


@pytest.mark.parametrize("content", ["aes256-cbc", "aes256-gcm"])
def test_an_encrypted_assertion_is_read_with_the_key_of_today_and_with_the_former_one(
    variant: Variant, content: str
) -> None:
    new = pair("the next sp")
    today = variant()
    changed = variant(
        certificate=keys.certificate(new.pem),
        private_key=keys.private_key(new.key_pem),
        private_key_old=keys.private_key(pair("sp").key_pem),
    )
    after = variant(certificate=keys.certificate(new.pem), private_key=keys.private_key(new.key_pem))
    for browser, to, taken in (
        (today, "sp", True),
        (today, "the next sp", False),
        (changed, "sp", True),
        (changed, "the next sp", True),
        (after, "the next sp", True),
        (after, "sp", False),
    ):
        asked = browser.begin()
        root = idp.encrypt(signed(said_to(asked)), pair(to), content=content)
        assert (browser.post(encoded(root)).status_code == 303) is taken, to


def test_any_of_several_certificates_may_have_signed(variant: Variant) -> None:
    both = tuple(keys.certificate(pair(name).pem) for name in ("idp", "idp's next"))
    browser = variant(idp_certificates=both)
    for name in ("idp", "idp's next"):
        asked = browser.begin()
        assert browser.post(encoded(signed(said_to(asked), How(signer=pair(name))))).status_code == 303
    asked = browser.begin()
    assert browser.post(encoded(signed(said_to(asked), How(signer=pair("attacker"))))).status_code == 403
