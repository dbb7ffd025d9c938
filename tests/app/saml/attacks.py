"""Hostile responses, by the number that each has in the list of attacks: how it is made, and what it must come to.

Each is an answer to the request of a browser that really waits for one, so that it is refused for its own sake.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from lxml import etree

from tests.app.saml import idp
from tests.app.saml.idp import Asked, How, encoded, pair, said_to, sign, signed

OTHER_TENANT = "99999999-1111-2222-3333-444455556666"
VICTIM = "ffffffff-aaaa-bbbb-cccc-ddddeeeeffff"
XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"

# Makes the form's field, for a request, and with the address of a server that nobody must ask.
Make = Callable[[Asked, str], str]
Add = Callable[[Make], Make]


@dataclass(frozen=True)
class Attack:
    """One hostile response."""

    number: str
    name: str
    make: Make
    reason: str
    status: int = 403
    # The toolkit alone refuses it too, with the settings that it is given.
    toolkit: bool = False

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.number} {self.name}"


@dataclass
class Listed:
    """The list, to which functions are added where they are written."""

    attacks: list[Attack] = field(default_factory=list)

    def __call__(self, number: str, name: str, reason: str, status: int = 403, *, toolkit: bool = False) -> Add:
        """Return what adds a function to the list."""

        def add(make: Make) -> Make:
            self.attacks.append(Attack(number, name, make, reason, status, toolkit))
            return make

        return add


attack = Listed()


def changed(root: Any) -> Any:
    """Make what a response says be about somebody else, and an administrator; return the assertion."""
    assertion = root if root.tag == f"{{{idp.SAML}}}Assertion" else root.find("saml:Assertion", idp.NS)
    assertion.find("saml:Subject/saml:NameID", idp.NS).text = "somebody-else"
    for attribute in assertion.iterfind("saml:AttributeStatement/saml:Attribute", idp.NS):
        if attribute.get("Name").endswith("objectidentifier"):
            attribute[0].text = VICTIM
    return assertion


def without_signature(element: Any) -> Any:
    """Take an element's own signature away and return the element."""
    element.remove(element.find("ds:Signature", idp.NS))
    return element


def parts(root: Any) -> tuple[Any, Any]:
    """Return a response's assertion and the signature in it."""
    assertion = root.find("saml:Assertion", idp.NS)
    return assertion, assertion.find("ds:Signature", idp.NS)


def evil_of(assertion: Any) -> Any:
    """Return another assertion, unsigned and about somebody else."""
    evil = changed(deepcopy(assertion))
    without_signature(evil)
    evil.set("ID", "_evil")
    return evil


def text(root: Any) -> str:
    """Return a document as text."""
    return str(etree.tostring(root, encoding="unicode"))


# Signatures.


@attack("1", "nothing is signed", "no_signed_assertion", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(idp.response(said_to(asked)))


@attack("2", "the assertion's signature is stripped while the response is signed", "no_signed_assertion", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), whole=True, part=False))


@attack("3", "signed anew by an attacker's key, with its certificate inside", "invalid_signature", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(signer=pair("attacker"))))


@attack("4a", "the name is edited after signing", "invalid_signature", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    changed(root)
    return encoded(root)


@attack("4b", "a role is edited after signing", "invalid_signature", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked, attributes=idp.entras(role="Reader")))
    return encoded(text(root).replace("Reader", "Site.Admin").encode())


@attack("5", "wrapping 1: the signed response inside its copy's signature", "duplicate_id", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked), whole=True)
    evil = deepcopy(root)
    evil.set("ID", "_evil_response")
    changed(evil)
    without_signature(evil.find("saml:Assertion", idp.NS))
    evil.find("ds:Signature", idp.NS).append(root)
    return encoded(evil)


@attack("6", "wrapping 2: the signed response before its copy's signature", "duplicate_id", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked), whole=True)
    evil = deepcopy(root)
    evil.set("ID", "_evil_response")
    changed(evil)
    without_signature(evil.find("saml:Assertion", idp.NS))
    evil.find("ds:Signature", idp.NS).addprevious(root)
    return encoded(evil)


@attack("7", "wrapping 3: another assertion before the signed one", "wrong_number_of_assertions", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    assertion, _signature = parts(root)
    assertion.addprevious(evil_of(assertion))
    return encoded(root)


@attack("8", "wrapping 4: another assertion around the signed one", "signature_misplaced", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    assertion, _signature = parts(root)
    evil = evil_of(assertion)
    root.replace(assertion, evil)
    evil.append(assertion)
    return encoded(root)


@attack("9", "wrapping 5: the signature in another assertion, before its own", "signature_reference", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    assertion, signature = parts(root)
    evil = evil_of(assertion)
    evil.find("saml:Issuer", idp.NS).addnext(signature)
    root.insert(root.index(assertion), evil)
    return encoded(root)


@attack("10", "wrapping 6: the signed assertion inside another one's signature", "signature_shape", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    assertion, signature = parts(root)
    evil = evil_of(assertion)
    root.replace(assertion, evil)
    evil.find("saml:Issuer", idp.NS).addnext(signature)
    signature.append(assertion)
    return encoded(root)


@attack("11", "wrapping 7: another assertion in an extension", "wrong_number_of_assertions", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    assertion, _signature = parts(root)
    extensions = etree.Element(f"{{{idp.SAMLP}}}Extensions")
    extensions.append(evil_of(assertion))
    root.find("saml:Issuer", idp.NS).addnext(extensions)
    return encoded(root)


@attack("12", "wrapping 8: the signed assertion in an object of the signature", "signature_shape", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    assertion, signature = parts(root)
    evil = evil_of(assertion)
    root.replace(assertion, evil)
    evil.find("saml:Issuer", idp.NS).addnext(signature)
    holder = etree.SubElement(signature, f"{{{idp.DS}}}Object")
    holder.append(assertion)
    return encoded(root)


@attack("13", "an unsigned assertion after the signed one", "wrong_number_of_assertions", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    root.append(evil_of(parts(root)[0]))
    return encoded(root)


@attack("14", "two signatures in one assertion", "signature_count", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    _assertion, signature = parts(root)
    signature.addnext(deepcopy(signature))
    return encoded(root)


@attack("15", "the response has the assertion's id", "duplicate_id", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    said = said_to(asked)
    return encoded(signed(replace(said, response_id=said.assertion_id)))


@attack("16", "a signature about the whole document, by no id", "signature_reference", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = idp.response(said_to(asked))
    assertion = root.find("saml:Assertion", idp.NS)
    sign(assertion, How(uri=""))
    return encoded(root)


@attack("17", "two references in one signature", "signature_shape")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(references=2)))


@attack("18a", "two SignedInfo in one signature", "signature_shape")
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    _assertion, signature = parts(root)
    info = signature.find("ds:SignedInfo", idp.NS)
    info.addnext(deepcopy(info))
    return encoded(root)


@attack("18b", "a comment in the digest, to be read as two values", "digest_shape")
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    value = parts(root)[1].find(".//ds:DigestValue", idp.NS)
    comment = etree.Comment("AAAA")
    value.insert(0, comment)
    comment.tail, value.text = value.text, ""
    return encoded(root)


@attack("19a", "a digest smuggled in by the status", "signature_misplaced", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    smuggled = deepcopy(parts(root)[1])
    changed(root)
    detail = etree.SubElement(root.find("samlp:Status", idp.NS), f"{{{idp.SAMLP}}}StatusDetail")
    detail.append(smuggled)
    return encoded(root)


@attack("19b", "a digest smuggled in by an extension", "invalid_signature", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    changed(root)
    extensions = etree.Element(f"{{{idp.SAMLP}}}Extensions")
    data = etree.tostring(parts(root)[0], method="c14n", exclusive=True)
    digest = etree.SubElement(extensions, f"{{{idp.DS}}}DigestValue")
    digest.text = base64.b64encode(idp.DIGESTS[idp.SHA256](data).digest()).decode()
    root.find("saml:Issuer", idp.NS).addnext(extensions)
    return encoded(root)


@attack("20", "a document type and CDATA, which two parsers read differently", "document_type", 400, toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(
        b'<!DOCTYPE samlp:Response [<!NOTATION n PUBLIC "]><!--">]>'
        + etree.tostring(signed(said_to(asked)))
        + b"<!--]]>-->"
    )


@attack("21", "a signature in a namespace that only looks like the right one", "invalid_xml_format", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    changed(root)
    return encoded(text(root).replace(f'xmlns="{idp.DS}"', f'xmlns="{idp.DS.rstrip("#")}"').encode())


@attack("21b", "a namespace that is no URI", "not_xml", 400, toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(text(signed(said_to(asked))).replace(f'xmlns="{idp.DS}"', f'xmlns="{idp.DS}&#9;"').encode())


@attack("22", "an entity in an id", "document_type", 400, toolkit=True)
def _(asked: Asked, _url: str) -> str:
    said = said_to(asked)
    root = signed(said)
    document = text(root).replace(f'ID="{said.assertion_id}"', 'ID="&idx;"')
    return encoded(f'<!DOCTYPE r [<!ENTITY idx "{said.assertion_id}">]>{document}'.encode())


@attack("23", "what has no canonical form, signed over a digest of nothing", "invalid_signature", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    root = signed(said_to(asked))
    assertion, signature = parts(root)
    changed(root)
    # A relative namespace makes canonicalization fail.
    etree.SubElement(assertion.find("saml:AttributeStatement/saml:Attribute", idp.NS)[0], "{relative}x")
    empty = base64.b64encode(idp.DIGESTS[idp.SHA256](b"").digest()).decode()
    signature.find(".//ds:DigestValue", idp.NS).text = empty
    idp.sign_info(signature, How(), detached=True)
    return encoded(root)


@attack("24a", "signed by RSA with SHA-1", "signature_algorithm", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(method=idp.RSA_SHA1)))


@attack("24b", "a digest by SHA-1", "digest_algorithm", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(digest=idp.SHA1)))


@attack("25", "an HMAC whose secret is the public certificate", "signature_algorithm")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(method=idp.HMAC_SHA256, secret=pair("idp").pem.encode())))


@attack("26a", "signed by RSA with MD5", "signature_algorithm")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(method=idp.RSA_MD5)))


@attack("26b", "a digest by MD5", "digest_algorithm")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(digest=idp.MD5)))


@attack("26c", "signed by an algorithm that does not exist", "signature_algorithm")
def _(asked: Asked, _url: str) -> str:
    return encoded(text(signed(said_to(asked))).replace("rsa-sha256", "rsa-sha999").encode())


@attack("27a", "a transform by XSLT", "transforms")
def _(asked: Asked, url: str) -> str:
    style = (
        '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/">'
        f"<xsl:copy-of select=\"document('{url}')\"/></xsl:template></xsl:stylesheet>"
    )
    how = How(transforms=(idp.ENVELOPED, XSLT, idp.EXCLUSIVE), transform_content=style)
    return encoded(signed(said_to(asked), how))


@attack("27b", "a transform by XPath", "transforms")
def _(asked: Asked, _url: str) -> str:
    how = How(transforms=(idp.ENVELOPED, XPATH, idp.EXCLUSIVE), transform_content="<XPath>false()</XPath>")
    return encoded(signed(said_to(asked), how))


@attack("28a", "canonicalized with comments", "transforms")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(transforms=(idp.ENVELOPED, f"{idp.EXCLUSIVE}WithComments"))))


@attack("28b", "canonicalized inclusively", "canonicalization")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(canonical=idp.INCLUSIVE)))


@attack("28c", "no canonicalization named", "transforms")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(transforms=(idp.ENVELOPED,))))


@attack("29", "signed by a certificate that is trusted no more", "invalid_signature", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked), How(signer=pair("the idp's former key"))))


# Parsers.


@attack("30a", "an external entity that is a file", "document_type", 400, toolkit=True)
def _(asked: Asked, _url: str) -> str:
    document = text(signed(said_to(asked))).replace(idp.NAME_ID, "&x;")
    return encoded(f'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]>{document}'.encode())


@attack("30b", "an external entity on another server", "document_type", 400, toolkit=True)
def _(asked: Asked, url: str) -> str:
    document = text(signed(said_to(asked))).replace(idp.NAME_ID, "&x;")
    return encoded(f'<!DOCTYPE r [<!ENTITY % p SYSTEM "{url}"> %p; <!ENTITY x SYSTEM "{url}">]>{document}'.encode())


@attack("31a", "a billion laughs", "document_type", 400, toolkit=True)
def _(asked: Asked, _url: str) -> str:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    document = text(signed(said_to(asked))).replace(idp.NAME_ID, "&l9;")
    return encoded(f'<!DOCTYPE r [<!ENTITY l0 "ha">{laughs}]>{document}'.encode())


@attack("31b", "quadratic blow-up", "document_type", 400, toolkit=True)
def _(asked: Asked, _url: str) -> str:
    document = text(signed(said_to(asked))).replace(idp.NAME_ID, "&a;" * 20_000)
    return encoded(f'<!DOCTYPE r [<!ENTITY a "{"a" * 50_000}">]>{document}'.encode())


@attack("32", "a comment in the name, which cuts it short for some", "comment_or_instruction")
def _(asked: Asked, _url: str) -> str:
    document = text(signed(said_to(asked, name_id="admin@example.org.evil.example")))
    return encoded(document.replace("admin@example.org", "admin@example.org<!---->").encode())


@attack("33", "an instruction in the name", "comment_or_instruction")
def _(asked: Asked, _url: str) -> str:
    document = text(signed(said_to(asked, name_id="admin@example.org.evil.example")))
    return encoded(document.replace("admin@example.org", "admin@example.org<?x y?>").encode())


@attack("34a", "five megabytes", "oversize", 413)
def _(asked: Asked, _url: str) -> str:
    return encoded(text(signed(said_to(asked))).replace(idp.NAME_ID, "a" * 5_000_000).encode())


@attack("34b", "a hundred thousand elements inside each other", "not_xml", 400)
def _(_asked: Asked, _url: str) -> str:
    # As much of it as fits.
    return encoded(b"<a>" * 40_000 + b"</a>" * 26_000)


@attack("34c", "more elements inside each other than any response has", "oversize", 413)
def _(_asked: Asked, _url: str) -> str:
    return encoded(b"<a>" * 100 + b"</a>" * 100)


@attack("34d", "more elements than any response has", "oversize", 413)
def _(_asked: Asked, _url: str) -> str:
    return encoded(b"<a>" + b"<b/>" * 50_000 + b"</a>")


@attack("35a", "not base64", "not_base64", 400)
def _(_asked: Asked, _url: str) -> str:
    return "!!!not-base64!!!"


@attack("35b", "deflated, as only a redirect carries it", "encoding", 400)
def _(asked: Asked, _url: str) -> str:
    return base64.b64encode(zlib.compress(etree.tostring(signed(said_to(asked))))).decode()


@attack("35c", "UTF-16", "encoding", 400)
def _(asked: Asked, _url: str) -> str:
    return encoded(text(signed(said_to(asked))).encode("utf-16"))


@attack("35d", "UTF-7", "encoding", 400)
def _(asked: Asked, _url: str) -> str:
    return encoded(b'<?xml version="1.0" encoding="UTF-7"?>' + text(signed(said_to(asked))).encode("utf-7"))


@attack("35e", "half a document", "not_xml", 400)
def _(asked: Asked, _url: str) -> str:
    return encoded(etree.tostring(signed(said_to(asked)))[:-40])


@attack("35f", "nothing", "not_xml", 400)
def _(_asked: Asked, _url: str) -> str:
    return ""


@attack("35g", "another document", "not_a_response")
def _(_asked: Asked, _url: str) -> str:
    return encoded(b"<html/>")


@attack("35h", "UTF-16 without saying so", "encoding", 400)
def _(asked: Asked, _url: str) -> str:
    return encoded(text(signed(said_to(asked))).encode("utf-16-le"))


# Protocol.


@attack("37", "an answer to another request", "unknown_request")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(replace(asked, id="_another"))))


@attack("37b", "an answer to another request in an envelope for this one", "wrong_in_response_to", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, in_response_to="_another", response_in_response_to=asked.id)))


@attack("38", "an answer to no request", "no_in_response_to")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, in_response_to=None, response_in_response_to=None)))


@attack("39", "an assertion for no request in an unsigned envelope for this one", "no_in_response_to")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, in_response_to=None, response_in_response_to=asked.id)))


@attack("47", "another audience", "wrong_audience", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, audience=("https://another.example/",))))


@attack("48", "no audience restriction", "no_audience")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, audience=None)))


@attack("48b", "a second audience restriction, without us", "wrong_audience")
def _(asked: Asked, _url: str) -> str:
    root = idp.response(said_to(asked))
    restriction = root.find(".//saml:AudienceRestriction", idp.NS)
    second = deepcopy(restriction)
    second[0].text = "https://another.example/"
    restriction.addnext(second)
    sign(root.find("saml:Assertion", idp.NS))
    return encoded(root)


@attack("49", "another recipient", "wrong_recipient", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, recipient="https://another.example/acs")))


@attack("50", "no recipient", "no_recipient")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, recipient=None)))


@attack("51", "a recipient elsewhere that only contains our address", "wrong_recipient")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, recipient=f"https://evil.example/?u={idp.ACS_URL}")))


@attack("52", "a destination elsewhere that only begins with our address", "wrong_destination")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, destination=f"{idp.ACS_URL}evil")))


@attack("52b", "no destination", "wrong_destination")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, destination=None)))


@attack("53a", "conditions that have ended", "expired", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, not_before=idp.after(-4000), not_on_or_after=idp.after(-301))))


@attack("53b", "conditions that have not begun", "not_yet_valid", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, not_before=idp.after(330))))


@attack("53c", "issued before it was asked for", "issued_before_request")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, issued="2018-01-01T00:00:00Z")))


@attack("53d", "issued in the future", "issued_in_future")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, issued="2099-01-01T00:00:00Z")))


@attack("53e", "conditions without an end", "no_not_on_or_after")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, not_on_or_after=None)))


@attack("54", "a bearer's confirmation without an end", "no_bearer_end")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, bearer_ends=None)))


@attack("54b", "a bearer's confirmation that has ended", "bearer_expired", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, bearer_ends=idp.after(-2))))


@attack("54c", "a time that is none", "bad_bearer_end", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, bearer_ends="2026-02-31T00:00:00Z")))


@attack("55", "a session that has ended", "session_expired", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, session_ends=idp.after(-10))))


@attack("56a", "another tenant's issuer", "wrong_issuer", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, issuer=f"https://sts.windows.net/{OTHER_TENANT}/")))


@attack("56b", "an issuer and a tenant that disagree", "tenant_disagrees")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, attributes=idp.entras(tenantid=OTHER_TENANT))))


@attack("56c", "another tenant's assertion in our own's envelope", "wrong_issuer", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    said = said_to(asked, issuer=f"https://sts.windows.net/{OTHER_TENANT}/", response_issuer=idp.ISSUER)
    return encoded(signed(said))


@attack("57", "a status other than success", "status", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, status="urn:oasis:names:tc:SAML:2.0:status:Responder")))


@attack("58", "version 1.1", "version", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, version="1.1")))


@attack("59a", "only a holder-of-key confirmation", "confirmation_method", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, method="urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")))


@attack("59b", "only a sender-vouches confirmation", "confirmation_method", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches")))


@attack("60a", "no authentication statement", "no_authn_statement", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, statement=False)))


@attack("60b", "no conditions", "no_conditions", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, conditions=False)))


@attack("61", "encrypted to our key by an attacker, unsigned inside", "no_signed_assertion", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(idp.encrypt(idp.response(said_to(asked)), pair("sp")))


@attack("61b", "encrypted to somebody else", "undecryptable")
def _(asked: Asked, _url: str) -> str:
    return encoded(idp.encrypt(signed(said_to(asked)), pair("somebody")))


@attack("61c", "encrypted by a cipher of old", "encryption_algorithm")
def _(asked: Asked, _url: str) -> str:
    return encoded(idp.encrypt(signed(said_to(asked)), pair("sp"), content="tripledes-cbc"))


@attack("61d", "encrypted content that is elsewhere", "outside_reference")
def _(asked: Asked, url: str) -> str:
    root = idp.encrypt(signed(said_to(asked)), pair("sp"))
    for data in root.iter(f"{{{idp.XENC}}}CipherData"):
        for value in data:
            data.remove(value)
        etree.SubElement(data, f"{{{idp.XENC}}}CipherReference").set("URI", url)
    return encoded(root)


@attack("61e", "an encrypted assertion that an attacker signed", "invalid_signature", toolkit=True)
def _(asked: Asked, _url: str) -> str:
    return encoded(idp.encrypt(signed(said_to(asked), How(signer=pair("attacker"))), pair("sp")))


@attack("61f", "an encrypted assertion with a transform by XSLT inside", "transforms")
def _(asked: Asked, url: str) -> str:
    how = How(transforms=(idp.ENVELOPED, XSLT, idp.EXCLUSIVE), transform_content=f"<x>{url}</x>")
    return encoded(idp.encrypt(signed(said_to(asked), how), pair("sp")))


@attack("61g", "ciphertext that was changed", "undecryptable")
def _(asked: Asked, _url: str) -> str:
    root = idp.encrypt(signed(said_to(asked)), pair("sp"))
    value = root.find(".//xenc:EncryptedData/xenc:CipherData/xenc:CipherValue", idp.NS)
    data = bytearray(base64.b64decode(value.text))
    data[-1] ^= 0xFF
    value.text = base64.b64encode(bytes(data)).decode()
    return encoded(root)


@attack("63", "an attribute's name twice", "duplicate_attribute")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, repeated=f"{idp.MICROSOFT}objectidentifier")))


@attack("64a", "no object identifier", "bad_object_id")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, attributes=idp.entras(objectidentifier=None))))


@attack("64b", "two object identifiers", "bad_object_id")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, attributes=idp.entras(objectidentifier=(idp.PERSON, VICTIM)))))


@attack("64c", "a blank object identifier", "bad_object_id")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, attributes=idp.entras(objectidentifier="   "))))


@attack("64d", "a blank name", "bad_name_id")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, name_id=" ")))


@attack("64e", "no name", "no_name_id")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, name_id=None)))


@attack("65", "a role that nobody knows here", "unknown_role")
def _(asked: Asked, _url: str) -> str:
    return encoded(signed(said_to(asked, attributes=idp.entras(role=("Reader", "Global.Admin")))))
