"""Single logout: the identity provider ends sessions here, and is told of those that were ended."""

from __future__ import annotations

import base64
import zlib
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from flask import Flask, Response, current_app
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils
from onelogin.saml2.xml_utils import OneLogin_Saml2_XML
from scaffold import saml as saml_package
from scaffold import sessions
from werkzeug.test import TestResponse

from tests.app.saml import idp
from tests.app.saml.conftest import SLO_URL, Browser, Listener, browser_of, count_sessions, events, reasons
from tests.app.saml.idp import ISSUER, LogoutSaid, Pair, deflated, logout_request, pair, query

TENANT_ISSUER = f"https://login.microsoftonline.com/{idp.TENANT}/"
FAIL = "authn_logout_fail"
RSA_SHA256 = quote(idp.RSA_SHA256, safe="")


@pytest.fixture
def app(app: Flask) -> Flask:
    """The app, with a page that signs out."""

    @app.get("/goodbye")
    def view() -> Response:
        session = sessions.current()
        assert session
        clear = sessions.end()
        return clear(current_app.make_response(saml_package.goodbye(session) or "local"))

    return app


def asks(browser: Browser, said: LogoutSaid | None = None, **how: Any) -> TestResponse:
    """Bring a request of the identity provider, signed unless told otherwise."""
    said = said or LogoutSaid()
    return browser.logout(query(logout_request(said), relay_state=said.relay_state, **how))


def message_of(answer: TestResponse, name: str) -> tuple[Any, dict[str, list[str]]]:
    """Return the message in a redirect to the provider, and the values beside it, once its signature was checked."""
    assert answer.status_code == 303
    location = answer.headers["Location"]
    assert location.startswith(f"{SLO_URL}?")
    raw = urlsplit(location).query
    values = parse_qs(raw)
    signed = raw.partition("&Signature=")[0]
    assert OneLogin_Saml2_Utils.validate_binary_sign(
        signed, base64.b64decode(values["Signature"][0]), pair("sp").pem, values["SigAlg"][0]
    )
    root = etree.fromstring(zlib.decompress(base64.b64decode(values[name][0]), -15))
    assert not isinstance(OneLogin_Saml2_XML.validate_xml(root, "saml-schema-protocol-2.0.xsd"), str)
    return root, values


@pytest.mark.parametrize("issuer", [ISSUER, TENANT_ISSUER])
@pytest.mark.parametrize("lower", [False, True], ids=["upper", "lower"])
def test_75_a_request_of_the_provider_ends_the_session_however_it_is_escaped(
    app: Flask, browser: Browser, issuer: str, lower: bool
) -> None:
    """Entra escapes in lower case, and has another name in logout messages than in assertions."""
    browser.sign_in(session_index="_one")
    said = LogoutSaid(issuer=issuer, session_indexes=("_one",), relay_state="opaque/+ value")
    answer = asks(browser, said, lower=lower)
    root, values = message_of(answer, "SAMLResponse")
    assert root.get("InResponseTo") == said.id
    assert root.find("samlp:Status/samlp:StatusCode", idp.NS).get("Value") == idp.SUCCESS
    assert values["RelayState"] == ["opaque/+ value"]
    assert count_sessions(app) == 0
    found = events(app)[-1]
    assert (found.event, found.reason, found.detail["sessions"]) == ("authn_logout", "by_provider", "1")


def test_a_request_without_an_index_ends_all_that_began_with_the_name_and_the_log_says_whose_they_were(
    app: Flask, browser: Browser
) -> None:
    browser.sign_in(session_index="_one")
    other = browser_of(app)
    other.sign_in(session_index="_two")
    (ada,) = {event.user_id for event in events(app) if event.event == "authn_login_success"}
    asks(browser_of(app))
    assert count_sessions(app) == 0
    found = events(app)[-1]
    assert (found.event, found.user_id, found.detail["sessions"]) == ("authn_logout", ada, "2")


def test_a_request_about_somebody_who_is_not_signed_in_names_nobody(app: Flask, browser: Browser) -> None:
    asks(browser)
    found = events(app)[-1]
    assert (found.event, found.user_id, found.detail["sessions"]) == ("authn_logout", None, "0")


def test_71_an_unsigned_request_ends_nothing(app: Flask, browser: Browser) -> None:
    browser.sign_in()
    for unsigned in (
        f"SAMLRequest={quote(deflated(logout_request(LogoutSaid())), safe='')}",
        query(logout_request(LogoutSaid())).partition("&Signature=")[0],
        query(logout_request(LogoutSaid())).partition("&Signature=")[0] + "&Signature=",
    ):
        assert browser.logout(unsigned).status_code == 403
        assert reasons(app)[-1] == (FAIL, "unsigned")
    assert count_sessions(app) == 1


@pytest.mark.parametrize("signer", ["attacker", "sp"])
def test_71_a_request_signed_by_somebody_else_ends_nothing(app: Flask, browser: Browser, signer: str) -> None:
    browser.sign_in()
    by: Pair = pair(signer)
    assert asks(browser, signer=by).status_code == 403
    assert reasons(app)[-1] == (FAIL, "invalid_signature")
    assert count_sessions(app) == 1


@pytest.mark.parametrize("method", [None, idp.RSA_SHA1, idp.RSA_MD5])
def test_72_a_signature_by_an_algorithm_of_old_or_by_none_that_is_named_is_refused(
    app: Flask, browser: Browser, method: str | None
) -> None:
    browser.sign_in()
    assert asks(browser, method=method).status_code == 403
    assert reasons(app)[-1] == (FAIL, "signature_algorithm")
    assert count_sessions(app) == 1


def test_73_a_request_is_taken_once(app: Flask, browser: Browser) -> None:
    said = LogoutSaid()
    assert asks(browser, said).status_code == 303
    browser.sign_in()
    assert asks(browser, said).status_code == 403
    assert reasons(app)[-1] == (FAIL, "replayed")
    assert count_sessions(app) == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (LogoutSaid(not_on_or_after=idp.after(-10)), "response_expired"),
        (LogoutSaid(issued=idp.after(-3600)), "expired"),
        (LogoutSaid(issued=idp.after(3600)), "issued_in_future"),
        (LogoutSaid(destination=f"{idp.SLS_URL}evil"), "wrong_destination"),
        (LogoutSaid(destination="https://another.example/sls"), "wrong_destination"),
        (LogoutSaid(destination=None), "wrong_destination"),
        (LogoutSaid(issuer="https://sts.windows.net/99999999-1111-2222-3333-444455556666/"), "wrong_issuer"),
        (LogoutSaid(name_id=""), "bad_name_id"),
    ],
)
def test_73_a_request_of_another_time_or_place_is_refused(
    app: Flask, browser: Browser, said: LogoutSaid, reason: str
) -> None:
    browser.sign_in()
    assert asks(browser, said).status_code == 403
    assert reasons(app)[-1] == (FAIL, reason)
    assert count_sessions(app) == 1


@pytest.mark.parametrize("said", [LogoutSaid(name_id="somebody-else"), LogoutSaid(session_indexes=("_another",))])
def test_74_a_request_about_somebody_else_leaves_this_session(app: Flask, browser: Browser, said: LogoutSaid) -> None:
    browser.sign_in(session_index="_one")
    asks(browser, said)
    assert count_sessions(app) == 1


def test_74_a_name_of_another_providers_person_is_another_person(app: Flask, browser: Browser) -> None:
    """The issuer is part of whom a logout is about."""
    browser.sign_in()
    with app.app_context():
        assert sessions.end_by_name_id(idp.NAME_ID, None, "https://another.example/") == []


@pytest.mark.parametrize("relay_state", ["https://evil.example", "//evil.example", "javascript:alert(1)"])
def test_76_a_relay_state_leads_nowhere(app: Flask, browser: Browser, relay_state: str) -> None:
    answer = asks(browser, LogoutSaid(relay_state=relay_state))
    _, values = message_of(answer, "SAMLResponse")
    assert values["RelayState"] == [relay_state], "the provider gets back what it sent, as a value and no more"
    asked = goodbye(app, browser)
    answer = browser.logout(query(idp.logout_response(asked), "SAMLResponse", relay_state))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        ("", 400, "no_message"),
        ("SAMLRequest=a&SAMLResponse=b", 400, "two_messages"),
        ("SAMLRequest=a&SAMLRequest=b", 400, "parameter_twice"),
        ("SAMLRequest=a&SigAlg=a&SigAlg=b", 400, "parameter_twice"),
        ("SAMLRequest=%21%21", 400, "not_base64"),
        ("SAMLRequest=" + quote(base64.b64encode(b"<a/>").decode()), 400, "not_deflated"),
        ("SAMLRequest=" + quote(deflated(b"<a/>")), 400, "not_a_logout_message"),
        ("SAMLRequest=" + quote(deflated(b"<!DOCTYPE a><a/>")), 400, "document_type"),
        ("SAMLRequest=" + quote(deflated(b"a" * 5_000_000)), 413, "oversize"),
        ("SAMLResponse=" + quote(deflated(logout_request(LogoutSaid()))), 400, "not_a_logout_message"),
        ("SAMLRequest=a&SAMLEncoding=urn%3Ax", 400, "encoding"),
        ("SAMLRequest=" + quote(deflated(logout_request(LogoutSaid())))
         + f"&SigAlg={RSA_SHA256}&Signature=%21", 400, "not_base64"),
    ],
)  # fmt: skip
def test_36_what_is_no_message_is_refused(
    app: Flask, browser: Browser, listener: Listener, raw: str, status: int, reason: str
) -> None:
    assert browser.logout(raw).status_code == status
    assert reasons(app)[-1] == (FAIL, reason)


def test_a_logout_message_comes_in_a_redirect_alone(browser: Browser) -> None:
    """Entra knows no other way."""
    answer = browser.client.post("/auth/login/saml/sls", base_url=idp.SITE, data={"SAMLRequest": "x"})
    assert answer.status_code in (403, 405)


def goodbye(app: Flask, browser: Browser) -> str:
    """Sign in and out, and return the id of the request that the provider gets."""
    browser.sign_in(session_index="_one")
    root, _ = message_of(browser.get("/goodbye"), "SAMLRequest")
    assert root.findtext("saml:NameID", None, idp.NS) == idp.NAME_ID
    assert root.findtext("samlp:SessionIndex", None, idp.NS) == "_one"
    assert root.findtext("saml:Issuer", None, idp.NS) == idp.ENTITY_ID
    assert count_sessions(app) == 0, "the session here ends first"
    return str(root.get("ID"))


def test_the_provider_is_told_of_a_session_that_was_ended_and_its_answer_is_taken_once(
    app: Flask, browser: Browser
) -> None:
    asked = goodbye(app, browser)
    stranger = browser_of(app)
    stranger.begin()
    answers = query(idp.logout_response(asked), "SAMLResponse")
    assert stranger.logout(answers).status_code == 403
    assert reasons(app)[-1] == (FAIL, "other_browser")
    assert browser.logout(answers.partition("&Signature=")[0]).status_code == 403
    assert browser.logout(answers).headers["Location"] == "/"
    assert reasons(app)[-1] == ("authn_logout", None)
    assert browser.logout(answers).status_code == 403
    assert reasons(app)[-1] == (FAIL, "request_consumed")


def test_the_answer_to_a_login_is_not_one_to_a_logout(app: Flask, browser: Browser) -> None:
    asked = browser.begin()
    assert browser.logout(query(idp.logout_response(asked.id), "SAMLResponse")).status_code == 403
    assert reasons(app)[-1] == (FAIL, "unknown_request")
    logout = goodbye(app, browser)
    message = idp.encoded(idp.signed(idp.Said(logout)))
    assert browser.post(message).status_code == 403
    assert reasons(app)[-1] == ("authn_login_fail", "unknown_request")


def test_a_provider_that_keeps_its_session_is_written_down(app: Flask, browser: Browser) -> None:
    asked = goodbye(app, browser)
    denied = idp.logout_response(asked, status="urn:oasis:names:tc:SAML:2.0:status:Responder")
    assert browser.logout(query(denied, "SAMLResponse")).headers["Location"] == "/"
    assert reasons(app)[-1] == ("authn_logout", "idp_kept_session")
