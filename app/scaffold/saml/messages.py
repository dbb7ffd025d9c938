"""What this site sends: requests and answers in a redirect's address, signed where there is a key."""

from __future__ import annotations

import base64
import secrets
import zlib
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote
from xml.etree import ElementTree

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from . import moment
from .algorithms import RSA_SHA256
from .names import NAME_ID_FORMATS, NAMESPACES, POST, SAML, SAMLP, SUCCESS
from .settings import Saml

for prefix, namespace in NAMESPACES.items():
    ElementTree.register_namespace(prefix, namespace)


def message(
    name: str, message_id: str, saml: Saml, destination: str, now: datetime, **more: str
) -> ElementTree.Element:
    """Return a message with what each of them begins with."""
    root = ElementTree.Element(
        f"{{{SAMLP}}}{name}",
        {"ID": message_id, "Version": "2.0", "IssueInstant": moment.write(now), "Destination": destination, **more},
    )
    ElementTree.SubElement(root, f"{{{SAML}}}Issuer").text = saml.sp_entity_id
    return root


def authn_request(saml: Saml, request_id: str, sso_url: str, now: datetime, *, forced: bool) -> ElementTree.Element:
    """Return the request to sign somebody in; it names no way to do that, and no subject, which Entra refuses."""
    more = {"AssertionConsumerServiceURL": saml.acs_url, "ProtocolBinding": POST}
    if forced:
        more["ForceAuthn"] = "true"
    root = message("AuthnRequest", request_id, saml, sso_url, now, **more)
    policy = {"Format": NAME_ID_FORMATS[saml.name_id_format], "AllowCreate": "true"}
    ElementTree.SubElement(root, f"{{{SAMLP}}}NameIDPolicy", policy)
    return root


def logout_request(
    saml: Saml, request_id: str, slo_url: str, now: datetime, name_id: str, session_index: str | None
) -> ElementTree.Element:
    """Return the request to end a session that the identity provider began."""
    root = message("LogoutRequest", request_id, saml, slo_url, now)
    ElementTree.SubElement(root, f"{{{SAML}}}NameID").text = name_id
    if session_index:
        ElementTree.SubElement(root, f"{{{SAMLP}}}SessionIndex").text = session_index
    return root


def logout_response(saml: Saml, slo_url: str, now: datetime, in_response_to: str) -> ElementTree.Element:
    """Return the answer to a logout request that was taken."""
    root = message("LogoutResponse", f"_{secrets.token_hex(20)}", saml, slo_url, now, InResponseTo=in_response_to)
    status = ElementTree.SubElement(root, f"{{{SAMLP}}}Status")
    ElementTree.SubElement(status, f"{{{SAMLP}}}StatusCode", {"Value": SUCCESS})
    return root


def deflated(root: ElementTree.Element) -> str:
    """Return a message as a redirect carries it."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflater.compress(ElementTree.tostring(root, encoding="utf-8")) + deflater.flush()
    return base64.b64encode(data).decode()


def redirect(url: str, parameters: Mapping[str, str], key: str | None, unsigned: Mapping[str, str]) -> str:
    """Return the address that carries a message; what is `unsigned` follows after the signature."""
    parts = [f"{name}={quote(value, safe='')}" for name, value in parameters.items()]
    if key is not None:
        parts.append(f"SigAlg={quote(RSA_SHA256, safe='')}")
        parts.append(f"Signature={quote(signature('&'.join(parts), key), safe='')}")
    parts += [f"{name}={quote(value, safe='')}" for name, value in unsigned.items()]
    return f"{url}{'&' if '?' in url else '?'}{'&'.join(parts)}"


def signature(text: str, key: str) -> str:
    """Return the signature of a query."""
    private = serialization.load_pem_private_key(key.encode(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError("settings take RSA keys alone")
    return base64.b64encode(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
