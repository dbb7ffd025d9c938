"""An identity provider in the shape of Entra: pysaml2 reads, names and signs; what it writes is cut to Entra's form.

Only the assertion is signed, nothing of it has a prefix, and the issuer is the tenant's token service. Conditions hold
for 70 minutes and the bearer's confirmation for five. Its logout requests are signed redirects under another issuer,
with escapes in lower case.
"""

from __future__ import annotations

import base64
import logging
import re
import shutil
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask, Response, redirect, render_template_string, request, session
from lxml import etree
from werkzeug.wrappers import Response as Answer

from tests.app.saml import idp
from tests.app.saml.idp import DS, NS, SAML, SAMLP, after, pair
from tests.login.provider import Provider, Serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from saml2 import BINDING_HTTP_REDIRECT, saml
    from saml2.authn_context import PASSWORD
    from saml2.config import IdPConfig
    from saml2.metadata import entity_descriptor
    from saml2.pack import http_form_post_message
    from saml2.s_utils import deflate_and_base64_encode
    from saml2.server import Server
    from saml2.sigver import pre_signature_part

HOST = "login.example.net"
SSO_URL = f"https://{HOST}/{idp.TENANT}/saml2"
LOGOUT_ISSUER = f"https://login.microsoftonline.com/{idp.TENANT}/"
BEARER_SECONDS, CONDITIONS_SECONDS, EARLIER = 300, 3900, -300
XMLSEC = shutil.which("xmlsec1")

PAGE = """<!doctype html><html lang="en"><title>Entra</title><h1>{{ title }}</h1>{{ form | safe }}</html>"""
SIGN_IN = """<form method="post"><input type="hidden" name="query" value="{{ query }}">
<button>Sign in as Ada</button></form>"""


@dataclass(frozen=True)
class Held:
    """A session that somebody has here: with which site, by which name and index."""

    name_id: Any
    index: str


class Entra(Provider):
    """The provider, with one person in its tenant."""

    host = HOST
    entity_id = idp.ISSUER

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sp = ""
        self.held: dict[str, Held] = {}
        self.confirmed: list[str] = []
        """The statuses by which the site answered logout requests."""
        self.server: Any = None

    def start(self) -> None:
        """Serve in a thread."""
        if XMLSEC is None:
            pytest.skip("the program xmlsec1, by which pysaml2 signs, is not installed")
        logging.getLogger("saml2").setLevel(logging.CRITICAL + 1)
        self.folder.mkdir()
        (self.folder / "key.pem").write_text(pair("idp").key_pem)
        (self.folder / "certificate.pem").write_text(pair("idp").pem)
        self.program = Flask(__name__)
        self.program.secret_key = "of a test"
        self.program.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Lax")
        self.program.add_url_rule(f"/{idp.TENANT}/saml2", "saml", self.taken, methods=["GET", "POST"])
        self.program.add_url_rule("/logout", "logout", self.sign_out)
        self.program.add_url_rule("/", "home", lambda: page("Entra"))
        self.serving = Serving(self.program, self.port)

    def configuration(self) -> dict[str, Any]:
        """Return pysaml2's settings."""
        service = {
            "endpoints": {
                "single_sign_on_service": [(SSO_URL, BINDING_HTTP_REDIRECT)],
                "single_logout_service": [(SSO_URL, BINDING_HTTP_REDIRECT)],
            },
            "want_authn_requests_signed": True,
            "name_id_format": [idp.PERSISTENT],
            "policy": {"default": {"lifetime": {"seconds": CONDITIONS_SECONDS}}},
        }
        return {
            "entityid": self.entity_id,
            "xmlsec_binary": XMLSEC,
            "key_file": str(self.folder / "key.pem"),
            "cert_file": str(self.folder / "certificate.pem"),
            "signing_algorithm": idp.RSA_SHA256,
            "digest_algorithm": idp.SHA256,
            "service": {"idp": service},
            "metadata": {"inline": [self.sp]} if self.sp else {},
        }

    def metadata(self) -> str:
        """Return what pysaml2 says of itself."""
        return str(entity_descriptor(IdPConfig().load(self.configuration())))

    def learn(self, metadata: str) -> None:
        """Begin to serve the site."""
        self.sp = metadata
        self.server = Server(config=IdPConfig().load(self.configuration()))

    def stop(self) -> None:
        """End it."""
        self.serving.stop()

    def taken(self) -> Answer:
        """Take whatever comes to the one address that Entra has for messages."""
        if request.method == "POST":
            return self.answer()
        if "SAMLResponse" in request.args:
            return self.logged_out()
        message = request.args["SAMLRequest"]
        signature = {
            "relay_state": request.args.get("RelayState"),
            "sigalg": request.args["SigAlg"],
            "signature": request.args["Signature"],
        }
        if b"LogoutRequest" in inflated(message):
            return self.asked_to_end(message, signature)
        self.server.parse_authn_request(message, BINDING_HTTP_REDIRECT, **signature)
        form = render_template_string(SIGN_IN, query=request.query_string.decode())
        return page("Sign in", form)

    def answer(self) -> Response:
        """Answer a request for whoever pressed the button: a form that sends itself to the site."""
        held = request.args
        asked = self.server.parse_authn_request(
            held["SAMLRequest"],
            BINDING_HTTP_REDIRECT,
            relay_state=held.get("RelayState"),
            sigalg=held["SigAlg"],
            signature=held["Signature"],
        ).message
        acs_url = self.server.response_args(asked)["destination"]
        message = self.response(asked, acs_url)
        form = http_form_post_message(message, acs_url, held.get("RelayState", ""), "SAMLResponse")
        return Response(form["data"])

    def response(self, asked: Any, acs_url: str) -> str:
        """Return a response in Entra's form, its assertion signed by pysaml2."""
        built = self.server.create_authn_response(
            {}, asked.id, acs_url, asked.issuer.text, userid=idp.PERSON, authn={"class_ref": PASSWORD},
            name_id=self.server.ident.construct_nameid(idp.PERSON, name_id_policy=asked.name_id_policy),
            sign_assertion=False, sign_response=False,
        )  # fmt: skip
        built.destination = acs_url
        assertion = built.assertion
        assertion.conditions.not_before = after(EARLIER)
        assertion.conditions.not_on_or_after = after(CONDITIONS_SECONDS)
        data = assertion.subject.subject_confirmation[0].subject_confirmation_data
        data.not_on_or_after, data.not_before = after(BEARER_SECONDS), None
        assertion.attribute_statement = [statement()]
        assertion.signature = pre_signature_part(assertion.id, pair("idp").body, None, idp.SHA256, idp.RSA_SHA256)
        index = assertion.authn_statement[0].session_index
        session["held"] = index
        self.held[index] = Held(assertion.subject.name_id, index)
        return str(
            self.server.sec.sign_statement(
                entras(str(built)), f"{SAML}:Assertion", key_file=str(self.folder / "key.pem"), node_id=assertion.id
            )
        )

    def asked_to_end(self, message: str, signature: dict[str, Any]) -> Answer:
        """End the session that the site ended, and send the browser back with a signed answer."""
        asked = self.server.parse_logout_request(message, BINDING_HTTP_REDIRECT, **signature).message
        for index in asked.session_index:
            self.held.pop(index.text, None)
        session.clear()
        answered = self.server.create_logout_response(asked, [BINDING_HTTP_REDIRECT], issuer=issuer())
        where = self.server.response_args(asked, [BINDING_HTTP_REDIRECT])["destination"]
        answered.destination = where
        return redirect(self.signed(where, "SAMLResponse", str(answered), signature["relay_state"]))

    def sign_out(self) -> Answer:
        """End this browser's session here, and go by the site with a request to end it there."""
        held = self.held.pop(session.pop("held"))
        entity = self.server.metadata.single_logout_service(
            next(iter(self.server.metadata.keys())), BINDING_HTTP_REDIRECT, "spsso"
        )
        where = entity[0]["location"]
        _, asked = self.server.create_logout_request(
            where, "", name_id=held.name_id, session_indexes=[held.index], expire=after(BEARER_SECONDS), sign=False
        )
        asked.issuer = issuer()
        return redirect(self.signed(where, "SAMLRequest", str(asked), None))

    def logged_out(self) -> Response:
        """Take the site's answer to a logout request."""
        root = etree.fromstring(inflated(request.args["SAMLResponse"]))
        self.confirmed.append(root.find("samlp:Status/samlp:StatusCode", NS).get("Value"))
        return page("You are signed out everywhere")

    def signed(self, url: str, kind: str, message: str, relay_state: str | None) -> str:
        """Return a redirect's address, signed over escapes in lower case."""
        values = {kind: deflate_and_base64_encode(message), "RelayState": relay_state, "SigAlg": idp.RSA_SHA256}
        query = "&".join(f"{name}={lower(value)}" for name, value in values.items() if value is not None)
        signature = self.server.sec.sec_backend.get_signer(idp.RSA_SHA256).sign(query.encode())
        return f"{url}?{query}&Signature={lower(base64.b64encode(signature))}"


def page(title: str, form: str = "") -> Response:
    """Return a page."""
    return Response(render_template_string(PAGE, title=title, form=form))


def issuer() -> Any:
    """Return by which name Entra speaks of logout."""
    return saml.Issuer(text=LOGOUT_ISSUER)


def lower(value: str | bytes) -> str:
    """Return a value escaped as Entra does it."""
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote(value, safe=""))


def inflated(message: str) -> bytes:
    """Return a message out of a redirect."""
    return zlib.decompress(base64.b64decode(message), -15)


def statement() -> Any:
    """Return the attributes that Entra sends."""
    attributes = [
        saml.Attribute(name=name, attribute_value=[saml.AttributeValue(text=value) for value in values])
        for name, values in idp.entras(role="Site.Admin").items()
    ]
    return saml.AttributeStatement(attribute=attributes)


def entras(response: str) -> str:
    """Return a response whose elements have no prefix, except those of the protocol."""
    return str(etree.tostring(rewritten(etree.fromstring(response.encode())), encoding="unicode"))


def rewritten(element: Any, parent: Any = None) -> Any:
    """Return a copy of an element with the namespace said where it begins, and no type on a value."""
    namespace = etree.QName(element).namespace
    nsmap = {None: namespace} if namespace in (SAML, DS) else {"samlp": SAMLP}
    made = (
        etree.Element(element.tag, nsmap=nsmap)
        if parent is None
        else etree.SubElement(parent, element.tag, nsmap=nsmap)
    )
    for name, value in element.attrib.items():
        if not name.startswith("{"):
            made.set(name, value)
    made.text = element.text
    for child in element:
        rewritten(child, made)
    return made
