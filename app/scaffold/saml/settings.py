"""The settings of SAML: read from the environment with the app's others, and checked together before it serves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from .names import NAME_ID_FORMATS

if TYPE_CHECKING:
    from ..settings import _Reader
    from .keys import Certificate

UserKey = Literal["claims", "name-id"]
RolesFrom = Literal["roles", "groups", "none"]

PREFIX = "/auth/login/saml"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
PATH = re.compile(r"/[A-Za-z0-9/._~-]{1,200}")
SLASHLESS = re.compile(r"https://sts\.windows\.net/[0-9a-fA-F-]{36}")
ROLE = re.compile(r"[a-z][a-z0-9_-]{0,31}")
LONGEST = 255

SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
MICROSOFT = "http://schemas.microsoft.com/identity/claims/"
WS = "http://schemas.microsoft.com/ws/2008/06/identity/claims/"


ROLES_AS_THEY_ARE: Mapping[str, str] = MappingProxyType({"admin": "admin"})


@dataclass(frozen=True)
class Claims:
    """By which names the identity provider sends what; Entra's, unless settings say otherwise."""

    tenant: str = f"{MICROSOFT}tenantid"
    object_id: str = f"{MICROSOFT}objectidentifier"
    email: str = f"{SOAP}emailaddress"
    given_name: str = f"{SOAP}givenname"
    surname: str = f"{SOAP}surname"
    name: str = f"{SOAP}name"
    display_name: str = f"{MICROSOFT}displayname"
    roles: str = f"{WS}role"
    groups: str = f"{WS}groups"


@dataclass(frozen=True)
class Saml:
    """How people sign in through an identity provider; private keys are left out of its `repr`."""

    sp_entity_id: str
    acs_url: str
    sls_url: str
    idp_entity_id: str
    sso_url: str | None = None
    slo_url: str | None = None
    idp_certificates: tuple[Certificate, ...] = ()
    metadata_url: str | None = None
    metadata_interval: float = 6 * 3600
    name_id_format: str = "persistent"
    certificate: Certificate | None = None
    private_key: str | None = field(default=None, repr=False)
    certificate_new: Certificate | None = None
    private_key_old: str | None = field(default=None, repr=False)
    sign_requests: bool = False
    want_assertion_signed: bool = True
    want_response_signed: bool = False
    want_assertion_encrypted: bool = False
    require_mfa: bool = False
    user_key: UserKey = "claims"
    claims: Claims = Claims()
    roles_from: RolesFrom = "roles"
    roles: Mapping[str, str] = field(default_factory=lambda: ROLES_AS_THEY_ARE)

    @property
    def origins(self) -> tuple[str, ...]:
        """Where the identity provider is, as far as settings say it; Entra's metadata is where its pages are."""
        parts = [urlsplit(url) for url in (self.sso_url, self.slo_url, self.metadata_url) if url]
        return tuple(dict.fromkeys(f"{part.scheme}://{part.netloc}" for part in parts))


# Every name that is known: a mistyped one would otherwise be a check that nobody makes.
TEXTS = (
    "SAML_SP_ENTITY_ID", "SAML_SP_ACS_URL", "SAML_SP_SLS_URL", "SAML_SP_NAMEID_FORMAT", "SAML_SP_X509_CERT",
    "SAML_SP_PRIVATE_KEY", "SAML_SP_X509_CERT_NEW", "SAML_SP_PRIVATE_KEY_OLD", "SAML_IDP_ENTITY_ID", "SAML_IDP_SSO_URL",
    "SAML_IDP_SLO_URL", "SAML_IDP_X509_CERTS", "SAML_IDP_METADATA", "SAML_IDP_METADATA_URL",
    "SAML_IDP_METADATA_INTERVAL", "SAML_SIGN_AUTHN_REQUESTS", "SAML_WANT_ASSERTION_SIGNED", "SAML_WANT_RESPONSE_SIGNED",
    "SAML_WANT_ASSERTION_ENCRYPTED", "SAML_REQUIRE_MFA", "SAML_USER_KEY", "SAML_ROLES_FROM", "SAML_ROLES",
)  # fmt: skip
CLAIMS = {f"SAML_ATTRIBUTE_{claim.name.upper()}": claim.name for claim in fields(Claims)}


def given(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the settings of SAML that are set."""
    return sorted(name for name, value in environ.items() if name.startswith("SAML_") and value)


def parse_roles(value: str) -> Mapping[str, str]:
    """Return which role a value of the provider's is here; raise ValueError for anything but a map of words."""
    example = 'a JSON object such as {"Site.Admin": "admin"}, by values that Entra sends'
    try:
        roles = json.loads(value)
    except json.JSONDecodeError:
        raise ValueError(f"got something that is not JSON; wanted {example}") from None
    if not isinstance(roles, dict) or not roles:
        raise ValueError(f"got {'an empty map' if roles == {} else f'a JSON {type(roles).__name__}'}; wanted {example}")
    for said, role in roles.items():
        if not said.strip() or not isinstance(role, str) or not ROLE.fullmatch(role):
            raise ValueError(f"got {role!r} for {said!r}; wanted a role's name in lower case, such as admin")
    return MappingProxyType(roles)


def parse_url(value: str) -> str:
    """Return an https address; raise ValueError for any other, or one that holds a password."""
    parts = urlsplit(value)
    if parts.username or parts.password:
        raise ValueError("got an address with a user name in it; wanted an https address without one")
    local = parts.scheme == "http" and parts.hostname in LOCAL_HOSTS
    if not (parts.scheme == "https" or local) or not parts.hostname or parts.fragment:
        raise ValueError(f"got {value[:200]!r}; wanted an https address without a fragment")
    return value


def parse_entity_id(value: str) -> str:
    """Return an entity id, which is a URI; raise ValueError for anything else."""
    if not urlsplit(value).scheme or len(value) > LONGEST or any(c.isspace() for c in value) or not value.isprintable():
        raise ValueError(f"got {value[:80]!r}; wanted a URI of at most {LONGEST} characters")
    if SLASHLESS.fullmatch(value):
        raise ValueError(f"got {value!r}; wanted it with Entra's last slash: {value}/")
    return value


def own_url(site_url: str, name: str) -> Any:
    """Return what reads an address of this site; a query would be lost, and another host answers for somebody else."""

    def parse(value: str) -> str:
        path = value.removeprefix(site_url)
        if path == value or not PATH.fullmatch(path) or "//" in path:
            raise ValueError(
                f"got {value[:200]!r}; wanted an address below SITE_URL ({site_url}) without a query, "
                f"such as {site_url}{PREFIX}/{name}"
            )
        return value

    return parse


def read(reader: _Reader, site_url: str) -> Saml | None:
    """Return the settings, or None where there are none; what cannot be used is noted with the reader."""
    names = given(reader.environ)
    if not names:
        return None
    known = {*TEXTS, *CLAIMS}
    for name in names:
        if name.removesuffix("_FILE") not in known:
            reader.reject(name, "a setting that is not known", f"one of {', '.join(sorted(known))}")
    before = len(reader.problems)
    entity_id = reader.parsed("SAML_IDP_ENTITY_ID", reader.text("SAML_IDP_ENTITY_ID"), parse_entity_id, None)
    if entity_id is None and len(reader.problems) == before:
        wanted = "the identity provider's entity id, such as https://sts.windows.net/<tenant id>/ with its last slash"
        reader.reject("SAML_IDP_ENTITY_ID", f"nothing, although {names[0]} is set", wanted)
    if not site_url.startswith("https://") and urlsplit(site_url).hostname not in LOCAL_HOSTS:
        reader.reject(
            "SITE_URL", f"{site_url} with SAML", "an https address: browsers keep the login's cookie from others"
        )
    values = {
        "idp_entity_id": entity_id or "",
        "sp_entity_id": reader.parsed(
            "SAML_SP_ENTITY_ID", reader.text("SAML_SP_ENTITY_ID", f"{site_url}{PREFIX}/metadata"), parse_entity_id, ""
        ),
        "acs_url": url(reader, "SAML_SP_ACS_URL", site_url, "acs"),
        "sls_url": url(reader, "SAML_SP_SLS_URL", site_url, "sls"),
        "name_id_format": reader.choice("SAML_SP_NAMEID_FORMAT", tuple(NAME_ID_FORMATS), "persistent"),
        "sign_requests": reader.boolean("SAML_SIGN_AUTHN_REQUESTS"),
        "want_assertion_signed": reader.boolean("SAML_WANT_ASSERTION_SIGNED", default=True),
        "want_response_signed": reader.boolean("SAML_WANT_RESPONSE_SIGNED"),
        "want_assertion_encrypted": reader.boolean("SAML_WANT_ASSERTION_ENCRYPTED"),
        "require_mfa": reader.boolean("SAML_REQUIRE_MFA"),
        "user_key": reader.choice("SAML_USER_KEY", ("claims", "name-id"), "claims"),
        "claims": Claims(**{claim: reader.text(n, getattr(Claims, claim)) or "" for n, claim in CLAIMS.items()}),
        "roles_from": reader.choice("SAML_ROLES_FROM", ("roles", "groups", "none"), "roles"),
        "roles": reader.parsed(
            "SAML_ROLES", reader.text("SAML_ROLES"), parse_roles, MappingProxyType({"admin": "admin"})
        ),
        **own_keys(reader),
        **provider(reader, entity_id),
    }
    saml = Saml(**values)
    check(reader, saml)
    return saml


def url(reader: _Reader, name: str, site_url: str, last: str) -> str:
    """Return an address of this site."""
    found: str = reader.parsed(name, reader.text(name, f"{site_url}{PREFIX}/{last}"), own_url(site_url, last), "")
    return found


def own_keys(reader: _Reader) -> dict[str, Any]:
    """Return this site's certificates and keys."""
    from . import keys

    found = {
        "certificate": reader.parsed("SAML_SP_X509_CERT", reader.text("SAML_SP_X509_CERT"), keys.certificate, None),
        "private_key": reader.parsed("SAML_SP_PRIVATE_KEY", reader.text("SAML_SP_PRIVATE_KEY"), keys.private_key, None),
        "certificate_new": reader.parsed(
            "SAML_SP_X509_CERT_NEW", reader.text("SAML_SP_X509_CERT_NEW"), keys.certificate, None
        ),
        "private_key_old": reader.parsed(
            "SAML_SP_PRIVATE_KEY_OLD", reader.text("SAML_SP_PRIVATE_KEY_OLD"), keys.private_key, None
        ),
    }
    certificate, key = found["certificate"], found["private_key"]
    if certificate and key and not keys.belong_together(certificate.pem, key):
        reader.reject("SAML_SP_X509_CERT", "a certificate of another key", "the certificate of SAML_SP_PRIVATE_KEY")
    return found


def provider(reader: _Reader, entity_id: str | None) -> dict[str, Any]:
    """Return what is known of the identity provider: from its metadata, and by single settings over that."""
    from . import idp_metadata, keys

    stated = None
    document = reader.text("SAML_IDP_METADATA")
    if document is not None and entity_id:
        stated = reader.parsed("SAML_IDP_METADATA", document, lambda text: idp_metadata.read(text, entity_id), None)
    certificates = reader.parsed("SAML_IDP_X509_CERTS", reader.text("SAML_IDP_X509_CERTS"), keys.certificates, ())
    if stated:
        held = {certificate.fingerprint for certificate in certificates}
        certificates += tuple(one for one in stated.certificates if one.fingerprint not in held)
    if len(certificates) > idp_metadata.MOST_CERTIFICATES:
        wanted = f"at most {idp_metadata.MOST_CERTIFICATES}: remove those that sign no more"
        reader.reject("SAML_IDP_X509_CERTS", f"{len(certificates)} certificates", wanted)
    sso, slo = (
        reader.parsed(name, reader.text(name), parse_url, None) for name in ("SAML_IDP_SSO_URL", "SAML_IDP_SLO_URL")
    )
    return {
        "sso_url": sso or (stated.sso_url if stated else None),
        "slo_url": slo or (stated.slo_url if stated else None),
        "idp_certificates": certificates,
        "metadata_url": reader.parsed("SAML_IDP_METADATA_URL", reader.text("SAML_IDP_METADATA_URL"), parse_url, None),
        "metadata_interval": reader.number("SAML_IDP_METADATA_INTERVAL", 6 * 3600, 60, 7 * 86400, "seconds"),
    }


def check(reader: _Reader, saml: Saml) -> None:
    """Note what does not go together."""
    told = {name.removesuffix("_FILE") for name in given(reader.environ)}
    if not saml.metadata_url and not told & {"SAML_IDP_METADATA"}:
        where = "or the provider's metadata in SAML_IDP_METADATA_URL or SAML_IDP_METADATA"
        if saml.sso_url is None and "SAML_IDP_SSO_URL" not in told:
            reader.reject("SAML_IDP_SSO_URL", "nothing", f"where people sign in, {where}")
        if not saml.idp_certificates and "SAML_IDP_X509_CERTS" not in told:
            reader.reject("SAML_IDP_X509_CERTS", "nothing", f"the certificates by which the provider signs, {where}")
    for name, on in (
        ("SAML_SIGN_AUTHN_REQUESTS", saml.sign_requests),
        ("SAML_WANT_ASSERTION_ENCRYPTED", saml.want_assertion_encrypted),
    ):
        if on and not {"SAML_SP_X509_CERT", "SAML_SP_PRIVATE_KEY"} <= told:
            reader.reject(name, "true without a key", "SAML_SP_X509_CERT and SAML_SP_PRIVATE_KEY with it")
    for one, other in (
        ("SAML_SP_X509_CERT", "SAML_SP_PRIVATE_KEY"),
        ("SAML_SP_PRIVATE_KEY", "SAML_SP_X509_CERT"),
        ("SAML_SP_X509_CERT_NEW", "SAML_SP_X509_CERT"),
        ("SAML_SP_PRIVATE_KEY_OLD", "SAML_SP_PRIVATE_KEY"),
    ):
        if one in told and other not in told:
            reader.reject(one, f"it without {other}", f"{other} too")
    if not saml.want_assertion_signed and not saml.want_response_signed:
        reader.reject(
            "SAML_WANT_ASSERTION_SIGNED",
            "false, and SAML_WANT_RESPONSE_SIGNED is not true",
            "one of them to be true: what nobody signed may be from anybody",
        )
    if not saml.want_assertion_signed and saml.want_assertion_encrypted:
        wanted = "true with SAML_WANT_ASSERTION_ENCRYPTED: anybody can encrypt to a public key"
        reader.reject("SAML_WANT_ASSERTION_SIGNED", "false", wanted)
    if saml.user_key == "name-id" and saml.name_id_format != "persistent":
        wanted = "persistent with SAML_USER_KEY=name-id: other names move from one person to another"
        reader.reject("SAML_SP_NAMEID_FORMAT", repr(saml.name_id_format), wanted)
    if saml.acs_url and saml.acs_url == saml.sls_url:
        reader.reject("SAML_SP_SLS_URL", "the address of SAML_SP_ACS_URL", "another one")
