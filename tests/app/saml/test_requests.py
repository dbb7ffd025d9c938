"""What this site asks of the provider: signed where that is wanted, and the way that Entra likes it."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from onelogin.saml2.utils import OneLogin_Saml2_Utils
from onelogin.saml2.xml_utils import OneLogin_Saml2_XML
from scaffold.saml.settings import Saml
from scaffold.settings import Settings

from tests.app.conftest import running
from tests.app.saml import idp
from tests.app.saml.conftest import Browser, browser_of
from tests.app.saml.idp import pair


def test_a_request_is_as_the_standard_and_entra_want_it(browser: Browser) -> None:
    asked = browser.begin()
    assert not isinstance(OneLogin_Saml2_XML.validate_xml(asked.root, "saml-schema-protocol-2.0.xsd"), str)
    assert asked.url.startswith(f"{idp.SSO_URL}?SAMLRequest=")
    assert asked.root.get("Destination") == idp.SSO_URL
    policy = asked.root.find("samlp:NameIDPolicy", idp.NS)
    assert policy.get("Format") == idp.PERSISTENT
    assert asked.root.find("saml:Subject", idp.NS) is None
    assert asked.root.find("samlp:RequestedAuthnContext", idp.NS) is None
    assert "Signature" not in asked.url
    assert asked.id != browser.begin().id
    assert len(asked.relay_state) == 43
    assert "account" not in asked.relay_state


def test_a_request_is_signed_where_that_is_wanted(settings: Settings, saml: Saml, app: Flask) -> None:
    with running(replace(settings, saml=replace(saml, sign_requests=True))) as site:
        query = urlsplit(browser_of(site).begin("?login_hint=ada%40example.org").url).query
    signed, _, rest = query.partition("&Signature=")
    values = parse_qs(query)
    assert values["SigAlg"] == [idp.RSA_SHA256]
    assert [part.partition("=")[0] for part in signed.split("&")] == ["SAMLRequest", "RelayState", "SigAlg"]
    signature = OneLogin_Saml2_Utils.b64decode(values["Signature"][0])
    assert OneLogin_Saml2_Utils.validate_binary_sign(signed, signature, pair("sp").pem, idp.RSA_SHA256)
    assert not OneLogin_Saml2_Utils.validate_binary_sign(signed + "x", signature, pair("sp").pem, idp.RSA_SHA256)
    assert rest.endswith("&login_hint=ada%40example.org"), "it is no part of what is signed"


@pytest.mark.parametrize("hint", ["ada", "ada@x&RelayState=y", "a@b\r\nc", "x" * 100 + "@example.org", "<a>@b"])
def test_a_hint_that_is_no_address_is_left_out(browser: Browser, hint: str) -> None:
    answer = browser.client.get("/auth/login/saml", base_url=idp.SITE, query_string={"login_hint": hint})
    assert "login_hint" not in answer.headers["Location"]


def test_a_query_in_the_providers_address_is_kept(settings: Settings, saml: Saml, app: Flask) -> None:
    sso_url = "https://login.example.net/sso?app=1&tenant=2"
    with running(replace(settings, saml=replace(saml, sso_url=sso_url))) as site:
        asked = browser_of(site).begin()
    assert asked.url.startswith(f"{sso_url}&SAMLRequest=")
    assert asked.root.get("Destination") == sso_url


def test_forms_may_lead_to_the_provider_and_to_nobody_else(browser: Browser) -> None:
    """A form's answer may be a redirect to the provider, which browsers hold against the policy too."""
    policy = browser.get("/").headers["Content-Security-Policy"]
    assert "form-action 'self' https://login.example.net;" in policy
