"""An identity provider's metadata: where it is asked, and by which certificates it signs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from xml.etree import ElementTree

from . import keys
from .keys import Certificate
from .names import NAMESPACES, REDIRECT

LARGEST = 2 * 1024 * 1024
MOST_CERTIFICATES = 10


@dataclass(frozen=True)
class Metadata:
    """What the metadata of one identity provider says that is used here."""

    entity_id: str
    sso_url: str
    slo_url: str | None
    certificates: tuple[Certificate, ...]


def read(document: str, entity_id: str) -> Metadata:
    """Return what a document says of one identity provider; raise ValueError("got; wanted") where it does not."""
    if len(document) > LARGEST:
        raise ValueError(f"got {len(document)} characters; wanted the metadata of one provider, at most {LARGEST}")
    if "<!DOCTYPE" in document or "<!ENTITY" in document:
        raise ValueError("got a document type declaration; wanted metadata, which has none")
    try:
        root = ElementTree.fromstring(document)  # noqa: S314 - without a document type there is nothing to expand
    except ElementTree.ParseError as error:
        raise ValueError(f"got something that is not XML ({error}); wanted metadata") from None
    described = f"{{{NAMESPACES['md']}}}EntityDescriptor"
    entities = [element for element in root.iter(described) if element.get("entityID") == entity_id]
    if len(entities) != 1:
        found = ", ".join(sorted({str(element.get("entityID")) for element in root.iter(described)})[:3]) or "none"
        raise ValueError(f"got metadata of {found}; wanted that of {entity_id}, as SAML_IDP_ENTITY_ID says")
    roles = entities[0].findall("md:IDPSSODescriptor", NAMESPACES)
    if len(roles) != 1:
        raise ValueError(f"got metadata with {len(roles)} IDPSSODescriptor elements; wanted an identity provider's")
    sso_url = location(roles[0], "md:SingleSignOnService")
    if sso_url is None:
        raise ValueError("got metadata without a SingleSignOnService for HTTP-Redirect; wanted one")
    return Metadata(entity_id, sso_url, location(roles[0], "md:SingleLogoutService"), signing(roles[0]))


def location(role: ElementTree.Element, name: str) -> str | None:
    """Return where a service is asked by redirect."""
    for service in role.findall(name, NAMESPACES):
        if service.get("Binding") == REDIRECT:
            found = service.get("Location", "")
            if not found.startswith("https://"):
                raise ValueError(f"got {name.partition(':')[2]} at {found!r}; wanted an https address")
            return found
    return None


def signing(role: ElementTree.Element) -> tuple[Certificate, ...]:
    """Return the certificates for signing."""
    found: dict[str, Certificate] = {}
    for key in role.findall("md:KeyDescriptor", NAMESPACES):
        if key.get("use") in (None, "signing"):
            for text in key.iterfind("ds:KeyInfo/ds:X509Data/ds:X509Certificate", NAMESPACES):
                one = keys.certificate(text.text or "")
                found[one.fingerprint] = one
    if not 0 < len(found) <= MOST_CERTIFICATES:
        raise ValueError(f"got {len(found)} certificates for signing; wanted 1 to {MOST_CERTIFICATES}")
    return tuple(found.values())


def decode(content: bytes) -> str:
    """Return a fetched document as text."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        start = base64.b64encode(content[:12]).decode()
        raise ValueError(f"got bytes that are not UTF-8 (they begin, in base64, {start}); wanted metadata") from None
