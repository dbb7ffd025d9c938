"""What python3-saml is told, all of it said here: its defaults are for compatibility."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from onelogin.saml2.errors import OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from .algorithms import RSA_SHA256
from .names import NAME_ID_FORMATS, POST, REDIRECT
from .provider import Provider
from .settings import Saml

DIGEST = "http://www.w3.org/2001/04/xmlenc#sha256"


def settings(saml: Saml, provider: Provider, *, key: str | None = None, logout: bool = False) -> Any:
    """Return the toolkit's settings object; `key` is the one to decrypt with.

    Logout has one of its own: one flag decides for responses and for logout messages whether the message must be
    signed, and an unsigned logout message must never be taken.
    """
    return OneLogin_Saml2_Settings(
        {
            "strict": True,
            "debug": False,
            "sp": {
                "entityId": saml.sp_entity_id,
                "assertionConsumerService": {"url": saml.acs_url, "binding": POST},
                "singleLogoutService": {"url": saml.sls_url, "binding": REDIRECT},
                "NameIDFormat": NAME_ID_FORMATS[saml.name_id_format],
                "x509cert": saml.certificate.pem if saml.certificate else "",
                "privateKey": key or saml.private_key or "",
            },
            "idp": {
                "entityId": provider.entity_id,
                "singleSignOnService": {"url": provider.sso_url or "https://unused.invalid/", "binding": REDIRECT},
                "singleLogoutService": {"url": provider.slo_url, "binding": REDIRECT} if provider.slo_url else {},
                # Never a fingerprint: it would take the certificate from the message itself.
                "x509certMulti": {"signing": list(provider.certificates)},
            },
            "security": {
                "wantAssertionsSigned": saml.want_assertion_signed and not logout,
                "wantMessagesSigned": saml.want_response_signed or logout,
                "wantAssertionsEncrypted": saml.want_assertion_encrypted and not logout,
                "wantNameId": True,
                "wantNameIdEncrypted": False,
                "nameIdEncrypted": False,
                # Whoever only asks for roles by name has no attributes where the provider sends none.
                "wantAttributeStatement": saml.user_key == "claims",
                "allowRepeatAttributeName": False,
                "rejectDeprecatedAlgorithm": True,
                # Asked for by default, and an error at Entra for whoever signs in without a password.
                "requestedAuthnContext": False,
                "authnRequestsSigned": False,
                "logoutRequestSigned": False,
                "logoutResponseSigned": False,
                "signMetadata": False,
                "signatureAlgorithm": RSA_SHA256,
                "digestAlgorithm": DIGEST,
                # Whether an address fits is seen to when the app's settings are read.
                "allowSingleLabelDomains": True,
            },
        }
    )


def request_data(url: str, **more: Any) -> dict[str, Any]:
    """Return a request as the toolkit wants it, made of an address from settings and never of what the client sent."""
    parts = urlsplit(url)
    return {
        "https": "on" if parts.scheme == "https" else "off",
        "http_host": parts.netloc,
        "script_name": "",
        "path_info": parts.path,
        "get_data": {},
        "post_data": {},
        **more,
    }


def codes(kind: type[Exception]) -> dict[int, str]:
    """Return the names of a kind of error's codes."""
    return {value: name.lower() for name, value in vars(kind).items() if name.isupper() and isinstance(value, int)}


VALIDATION = codes(OneLogin_Saml2_ValidationError)
OTHER = codes(OneLogin_Saml2_Error)


def reason(error: Exception) -> str:
    """Return a word for why the toolkit does not take something."""
    if isinstance(error, OneLogin_Saml2_ValidationError):
        return VALIDATION.get(error.code, "invalid")
    if isinstance(error, OneLogin_Saml2_Error):
        return OTHER.get(error.code, "invalid")
    return "invalid"
