"""What the toolkit refuses by itself, with the settings that it is given: this app's own checks come on top of it."""

from __future__ import annotations

import pytest
from onelogin.saml2.response import OneLogin_Saml2_Response
from scaffold.saml import toolkit
from scaffold.saml.provider import Provider
from scaffold.saml.settings import Saml

from tests.app.saml import idp
from tests.app.saml.attacks import Attack, attack
from tests.app.saml.idp import Asked

ASKED = Asked("_a1b2c3")


def taken_by_the_toolkit(saml: Saml, message: str) -> bool:
    """Tell whether the toolkit alone takes a response."""
    provider = Provider(idp.ISSUER, idp.SSO_URL, None, (idp.pair("idp").pem,))
    data = toolkit.request_data(saml.acs_url)
    try:
        response = OneLogin_Saml2_Response(toolkit.settings(saml, provider), message)
        return bool(response.is_valid(data, ASKED.id)) and bool(response.get_nameid())
    except Exception:
        return False


def test_it_takes_what_is_right(saml: Saml) -> None:
    assert taken_by_the_toolkit(saml, idp.encoded(idp.signed(idp.said_to(ASKED))))


@pytest.mark.parametrize("one", [one for one in attack.attacks if one.toolkit], ids=lambda one: one.id)
def test_it_refuses_what_it_is_relied_on_for(saml: Saml, one: Attack) -> None:
    assert not taken_by_the_toolkit(saml, one.make(ASKED, "http://127.0.0.1:9/"))


NOT_SEEN = {"17", "38", "39", "48", "50", "51", "52", "54", "56b", "64a", "64c", "65"}


@pytest.mark.parametrize("one", [one for one in attack.attacks if one.number in NOT_SEEN], ids=lambda one: one.id)
def test_it_takes_what_only_this_apps_own_checks_see(saml: Saml, one: Attack) -> None:
    """Were it to refuse these one day, a check of this app's could go; until then none may."""
    assert taken_by_the_toolkit(saml, one.make(ASKED, "http://127.0.0.1:9/"))


def test_every_setting_is_said_and_none_is_left_to_a_default(saml: Saml) -> None:
    provider = Provider(idp.ISSUER, idp.SSO_URL, None, (idp.pair("idp").pem,))
    made = toolkit.settings(saml, provider)
    security = made.get_security_data()
    assert made.is_strict()
    assert security["wantAssertionsSigned"]
    assert security["rejectDeprecatedAlgorithm"]
    assert security["requestedAuthnContext"] is False
    assert not security["allowRepeatAttributeName"]
    assert not security["wantMessagesSigned"]
    assert toolkit.settings(saml, provider, logout=True).get_security_data()["wantMessagesSigned"]
    assert not made.get_idp_data()["certFingerprint"]
    assert made.get_idp_cert() is None, "only the list of certificates counts"
