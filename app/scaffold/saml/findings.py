"""What does not fit in settings that are each right by themselves, and what Entra must be told: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from .attributes import ENTRA_ISSUER
from .keys import Certificate
from .settings import PREFIX, Saml

Weight = Literal["wrong", "soon", "note"]

MICROSOFT = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
WARN_BEFORE = timedelta(days=60)
STALE = timedelta(days=2)


@dataclass(frozen=True)
class Finding:
    """Something that does not fit: how bad it is, what it is about, and what to do."""

    weight: Weight
    about: str
    words: str


@dataclass(frozen=True)
class Trusted:
    """A certificate whose signatures are taken, and why it is."""

    certificate: Certificate
    source: str


@dataclass(frozen=True)
class Fetched:
    """How the metadata at its address was last found."""

    at: datetime | None
    problem: str | None


def told(saml: Saml, site_url: str) -> list[tuple[str, str]]:
    """Return what Entra must be told, in the words of its portal."""
    rows = [
        ("Identifier (Entity ID)", saml.sp_entity_id),
        ("Reply URL (Assertion Consumer Service URL)", saml.acs_url),
        ("Sign on URL", f"{site_url}{PREFIX}"),
        ("Logout URL", saml.sls_url),
        ("Metadata file to upload", f"{site_url}{PREFIX}/metadata"),
        ("Unique User Identifier, name identifier format", saml.name_id_format),
        ("Signing option", signing(saml)),
    ]
    if saml.roles_from == "roles":
        rows.append(("App roles, by value", ", ".join(f"{said} ({role} here)" for said, role in saml.roles.items())))
    elif saml.roles_from == "groups":
        rows.append(("Group claim", "Groups assigned to the application, source attribute: Group ID"))
    for name, certificate, used in (
        ("Verification certificate", saml.certificate, saml.sign_requests),
        ("Verification certificate, the next one", saml.certificate_new, saml.sign_requests),
        ("Token encryption certificate", saml.certificate, saml.want_assertion_encrypted),
    ):
        if certificate is not None and used:
            rows.append((name, f"thumbprint {certificate.thumbprint}, until {certificate.ends:%Y-%m-%d}"))
    return rows


def signing(saml: Saml) -> str:
    """Return which of Entra's options makes what is wanted here."""
    if saml.want_assertion_signed and saml.want_response_signed:
        return "Sign SAML response and assertion, SHA-256"
    return f"Sign SAML {'assertion' if saml.want_assertion_signed else 'response'}, SHA-256"


def findings(saml: Saml, trusted: list[Trusted], fetched: Fetched | None, now: datetime) -> list[Finding]:
    """Return what does not fit, the worst first."""
    found = [
        *of_provider(saml),
        *of_certificates(saml, trusted, now),
        *of_metadata(saml, fetched, now),
        *of_choices(saml),
    ]
    order = ("wrong", "soon", "note")
    return sorted(found, key=lambda finding: order.index(finding.weight))


def of_provider(saml: Saml) -> list[Finding]:
    """Return what does not fit in the addresses of the identity provider."""
    found = []
    entra = ENTRA_ISSUER.fullmatch(saml.idp_entity_id)
    for name, url in (
        ("SAML_IDP_SSO_URL", saml.sso_url),
        ("SAML_IDP_SLO_URL", saml.slo_url),
        ("SAML_IDP_METADATA_URL", saml.metadata_url),
    ):
        parts = urlsplit(url or "")
        if not entra or parts.hostname not in MICROSOFT:
            continue
        if entra.group(1).lower() not in parts.path.lower():
            words = (
                f"{url} is of another tenant than SAML_IDP_ENTITY_ID ({entra.group(1)}): take both from one application"
            )
            found.append(Finding("wrong", name, words))
        if name == "SAML_IDP_METADATA_URL" and "appid" not in parse_qs(parts.query):
            words = (
                "the tenant's metadata lacks a certificate that only this application has: "
                "take the 'App Federation Metadata Url', which ends in ?appid=<application id>"
            )
            found.append(Finding("wrong", name, words))
    if saml.slo_url is None and saml.metadata_url is None:
        words = "not set: signing out here leaves people signed in at the identity provider"
        found.append(Finding("note", "SAML_IDP_SLO_URL", words))
    return found


def of_certificates(saml: Saml, trusted: list[Trusted], now: datetime) -> list[Finding]:
    """Return which certificates end soon or have ended."""
    found = []
    if not trusted:
        words = "no certificate is known yet, so that nobody can sign in: run `flask saml refresh`"
        found.append(Finding("wrong", "SAML_IDP_METADATA_URL", words))
    for one in trusted:
        what = f"the identity provider's certificate {one.certificate.thumbprint}"
        found += ending(
            what, one.certificate, now, one.source, newer=any(t.certificate.ends > now + WARN_BEFORE for t in trusted)
        )
    for name, certificate in (
        ("SAML_SP_X509_CERT", saml.certificate),
        ("SAML_SP_X509_CERT_NEW", saml.certificate_new),
    ):
        if certificate is not None:
            found += ending(f"this site's certificate {certificate.thumbprint}", certificate, now, name, newer=False)
    if saml.certificate and saml.certificate_new and saml.certificate.fingerprint == saml.certificate_new.fingerprint:
        words = "it is the certificate that is in use already: unset it, the change is made"
        found.append(Finding("note", "SAML_SP_X509_CERT_NEW", words))
    return found


def ending(what: str, certificate: Certificate, now: datetime, about: str, *, newer: bool) -> list[Finding]:
    """Return what is to be said of a certificate's end."""
    if certificate.ends <= now:
        return [Finding("note" if newer else "wrong", about, f"{what} ended on {certificate.ends:%Y-%m-%d}")]
    if certificate.ends <= now + WARN_BEFORE and not newer:
        days = (certificate.ends - now).days
        return [Finding("soon", about, f"{what} ends on {certificate.ends:%Y-%m-%d}, in {days} days")]
    return []


def of_metadata(saml: Saml, fetched: Fetched | None, now: datetime) -> list[Finding]:
    """Return what was wrong when the metadata was fetched."""
    if saml.metadata_url is None or fetched is None:
        return []
    found = []
    if fetched.problem:
        found.append(Finding("wrong", "SAML_IDP_METADATA_URL", f"the last fetch failed: {fetched.problem}"))
    interval = timedelta(seconds=saml.metadata_interval)
    if fetched.at is not None and now - fetched.at > STALE + interval:
        found.append(Finding("soon", "SAML_IDP_METADATA_URL", f"the copy is of {fetched.at:%Y-%m-%d %H:%M} UTC"))
    return found


def of_choices(saml: Saml) -> list[Finding]:
    """Return which choices will be regretted."""
    found = []
    if saml.name_id_format == "transient":
        words = "a transient name is another one each time: single logout finds nobody by it; take persistent"
        found.append(Finding("note", "SAML_SP_NAMEID_FORMAT", words))
    if saml.roles_from == "groups":
        words = "people in more than 150 groups cannot sign in: app roles have no such limit"
        found.append(Finding("note", "SAML_ROLES_FROM", words))
    if saml.private_key_old is not None:
        words = "the former key still decrypts: unset it once the identity provider encrypts to the new certificate"
        found.append(Finding("note", "SAML_SP_PRIVATE_KEY_OLD", words))
    if saml.sign_requests:
        words = (
            "requests are signed; where Entra enforces that, its portal's Test button "
            "and logins that begin there work no more"
        )
        found.append(Finding("note", "SAML_SIGN_AUTHN_REQUESTS", words))
    return found
