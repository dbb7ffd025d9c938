"""Single logout: an identity provider that ends somebody's sessions, and telling it that one was ended here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_plus

from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.logout_request import OneLogin_Saml2_Logout_Request
from onelogin.saml2.logout_response import OneLogin_Saml2_Logout_Response

from . import algorithms, moment, response, signed, toolkit, wire
from .attributes import ENTRA_ISSUER
from .names import NAMESPACES, SAMLP, SUCCESS
from .provider import Provider
from .refusal import MALFORMED, Refusal
from .response import DRIFT, LONGEST_ID, LONGEST_NAME
from .settings import Saml

# How long a request is good for that does not say it itself.
GOOD_FOR = timedelta(minutes=5)
PARTIAL = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout"
PARAMETERS = ("SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "SAMLEncoding")
DEFLATE = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE"
LONGEST_RELAY_STATE = 1024
MOST_INDEXES = 20
REQUEST, RESPONSE = "SAMLRequest", "SAMLResponse"
TAGS: Mapping[str, str] = MappingProxyType(
    {REQUEST: f"{{{SAMLP}}}LogoutRequest", RESPONSE: f"{{{SAMLP}}}LogoutResponse"}
)


@dataclass(frozen=True)
class Message:
    """A logout message as it came: its tree, and the query that a signature is about."""

    kind: str
    root: Any
    query: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """Whose sessions the identity provider wants to be ended; without an index all that began with the name."""

    id: str
    name_id: str
    session_indexes: tuple[str, ...]
    keep_until: datetime
    relay_state: str | None


def received(query: str) -> Message:
    """Return the message in a query, which is looked at as it was sent: a signature is about those very characters."""
    raw: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name not in PARAMETERS:
            continue
        if name in raw:
            raise Refusal("parameter_twice", MALFORMED)
        raw[name] = value
    kinds = [kind for kind in (REQUEST, RESPONSE) if kind in raw]
    if len(kinds) != 1:
        raise Refusal("no_message" if not kinds else "two_messages", MALFORMED)
    values = {name: unquote_plus(value) for name, value in raw.items()}
    if values.get("SAMLEncoding", DEFLATE) != DEFLATE:
        raise Refusal("encoding", MALFORMED)
    root = wire.tree(wire.inflated(wire.decoded(values[kinds[0]], wire.LARGEST_LOGOUT)), wire.LARGEST_LOGOUT)
    if root.tag != TAGS[kinds[0]]:
        raise Refusal("not_a_logout_message", MALFORMED)
    kept = "&".join(f"{name}={raw[name]}" for name in (kinds[0], "RelayState", "SigAlg") if name in raw)
    return Message(kinds[0], root, kept, values)


def issuers(saml: Saml) -> tuple[str, ...]:
    """Return by which names the identity provider may call itself: Entra's has another one in logout messages."""
    entra = ENTRA_ISSUER.fullmatch(saml.idp_entity_id)
    return (saml.idp_entity_id, *([f"https://login.microsoftonline.com/{entra.group(1)}/"] if entra else []))


def check_signature(message: Message, saml: Saml, provider: Provider) -> None:
    """Raise `Refusal` unless the query was signed by the identity provider."""
    if not message.values.get("Signature"):
        raise Refusal("unsigned")
    if message.values.get("SigAlg") not in algorithms.SIGNATURES:
        # The toolkit takes it for RSA with SHA-1 where none is named.
        raise Refusal("signature_algorithm", detail={"algorithm": message.values.get("SigAlg", "none")[:LONGEST_NAME]})
    wire.decoded(message.values["Signature"], wire.LARGEST_LOGOUT)
    data = toolkit.request_data(
        saml.sls_url, get_data=dict(message.values), query_string=message.query, validate_signature_from_qs=True
    )
    auth = OneLogin_Saml2_Auth(data, toolkit.settings(saml, provider, logout=True))
    check = auth.validate_request_signature if message.kind == REQUEST else auth.validate_response_signature
    if not check(data["get_data"]):
        raise Refusal("invalid_signature")


def check(message: Message, saml: Saml, provider: Provider, now: datetime) -> None:
    """Raise `Refusal` unless a message is signed by the identity provider, meant for us, and of now."""
    check_signature(message, saml, provider)
    signed.check_ids(message.root)
    issuer = response.one(message.root, "saml:Issuer", "issuer").text or ""
    if issuer not in issuers(saml):
        raise Refusal("wrong_issuer", detail={"issuer": issuer[:LONGEST_NAME]})
    named = Provider(issuer, provider.sso_url, provider.slo_url, provider.certificates)
    kind = OneLogin_Saml2_Logout_Request if message.kind == REQUEST else OneLogin_Saml2_Logout_Response
    data = toolkit.request_data(saml.sls_url, get_data=dict(message.values))
    try:
        taken = kind(toolkit.settings(saml, named, logout=True), message.values[message.kind])
        taken.is_valid(data, raise_exceptions=True)
    except Exception as error:  # whatever it stumbles over, the message is not taken
        raise Refusal(toolkit.reason(error), detail={"toolkit": str(error)[:LONGEST_NAME]}) from None
    if message.root.get("Destination") != saml.sls_url:
        raise Refusal("wrong_destination", detail={"destination": str(message.root.get("Destination"))[:LONGEST_NAME]})
    issued = moment.read(message.root.get("IssueInstant"), "issue_instant")
    if issued > now + DRIFT:
        raise Refusal("issued_in_future", detail=response.skew(issued, now))
    if issued + GOOD_FOR + DRIFT <= now:
        raise Refusal("expired", detail=response.skew(issued, now))


def asked(message: Message, now: datetime) -> Asked:
    """Return whose sessions a checked request wants to be ended."""
    root = message.root
    identifier = root.get("ID")
    if not identifier or len(identifier) > LONGEST_ID:
        raise Refusal("no_id")
    issued = moment.read(root.get("IssueInstant"), "issue_instant")
    ends = issued + GOOD_FOR
    if root.get("NotOnOrAfter") is not None:
        ends = moment.read(root.get("NotOnOrAfter"), "not_on_or_after")
        if ends <= now:
            raise Refusal("expired", detail=response.skew(ends, now))
    name = response.one(root, "saml:NameID", "name_id")
    if any(not isinstance(node.tag, str) for node in root.iter()):
        raise Refusal("comment_or_instruction")
    indexes = tuple(index.text or "" for index in root.findall("samlp:SessionIndex", NAMESPACES))
    if not (name.text or "").strip() or len(indexes) > MOST_INDEXES or not all(indexes):
        raise Refusal("bad_name_id")
    relay_state = message.values.get("RelayState")
    if relay_state is not None and len(relay_state) > LONGEST_RELAY_STATE:
        raise Refusal("relay_state", MALFORMED)
    return Asked(identifier, name.text, indexes, max(ends, issued + GOOD_FOR) + DRIFT, relay_state)


def succeeded(message: Message) -> bool:
    """Tell whether the identity provider says that it ended the session there."""
    code = message.root.find("samlp:Status/samlp:StatusCode", NAMESPACES)
    return code is not None and code.get("Value") in (SUCCESS, PARTIAL)
