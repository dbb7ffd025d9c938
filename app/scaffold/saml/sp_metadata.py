"""This site's own metadata, which an identity provider imports."""

from __future__ import annotations

from datetime import datetime, timedelta
from xml.etree import ElementTree

from . import moment
from .keys import Certificate
from .names import DS, MD, NAME_ID_FORMATS, NAMESPACES, POST, REDIRECT, SAMLP
from .settings import Saml

MIMETYPE = "application/samlmetadata+xml"
# Long, as some import it once by hand; when keys change, that is told of by hand too.
VALID = timedelta(days=365)
CACHED = "P1D"

for prefix, namespace in NAMESPACES.items():
    ElementTree.register_namespace(prefix, namespace)


def document(saml: Saml, now: datetime) -> bytes:
    """Return the metadata: the certificates of today and of tomorrow to check by, only today's to encrypt to."""
    root = ElementTree.Element(
        f"{{{MD}}}EntityDescriptor",
        {"entityID": saml.sp_entity_id, "validUntil": moment.write(now + VALID), "cacheDuration": CACHED},
    )
    role = ElementTree.SubElement(
        root,
        f"{{{MD}}}SPSSODescriptor",
        {
            "AuthnRequestsSigned": str(saml.sign_requests).lower(),
            "WantAssertionsSigned": str(saml.want_assertion_signed).lower(),
            "protocolSupportEnumeration": SAMLP,
        },
    )
    for certificate in (saml.certificate, saml.certificate_new):
        if certificate is not None:
            add_key(role, "signing", certificate)
    if saml.want_assertion_encrypted and saml.certificate is not None:
        add_key(role, "encryption", saml.certificate)
    service = {"Binding": REDIRECT, "Location": saml.sls_url}
    ElementTree.SubElement(role, f"{{{MD}}}SingleLogoutService", service)
    ElementTree.SubElement(role, f"{{{MD}}}NameIDFormat").text = NAME_ID_FORMATS[saml.name_id_format]
    service = {"Binding": POST, "Location": saml.acs_url, "index": "0", "isDefault": "true"}
    ElementTree.SubElement(role, f"{{{MD}}}AssertionConsumerService", service)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def add_key(role: ElementTree.Element, use: str, certificate: Certificate) -> None:
    """Add a certificate for a use."""
    key = ElementTree.SubElement(role, f"{{{MD}}}KeyDescriptor", {"use": use})
    info = ElementTree.SubElement(key, f"{{{DS}}}KeyInfo")
    data = ElementTree.SubElement(info, f"{{{DS}}}X509Data")
    ElementTree.SubElement(data, f"{{{DS}}}X509Certificate").text = certificate.body
