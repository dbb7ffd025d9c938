"""An identity provider without pages: it checks a request by what it was told of the site, and answers at once."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from tests.app.saml import idp
from tests.app.saml.idp import Asked, How, Pair, encoded, encrypt, pair, said_to, signed

MD = "urn:oasis:names:tc:SAML:2.0:metadata"
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"


@dataclass(frozen=True)
class Person:
    """Somebody in the tenant."""

    id: str
    name: str
    email: str

    @property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """What is told of them."""
        return idp.entras(objectidentifier=self.id, displayname=self.name, emailaddress=self.email, role="Site.Admin")


@dataclass
class Signer:
    """The provider: by whose key it signs, and what the site's metadata said when it was last told."""

    key: Pair = field(default_factory=lambda: pair("idp"))
    trusted: tuple[x509.Certificate, ...] = ()
    encrypts_to: x509.Certificate | None = None

    def learn(self, metadata: str) -> None:
        """Take the site's metadata."""
        root = etree.fromstring(metadata.encode())
        self.trusted = tuple(certificates(root, "signing"))
        (self.encrypts_to,) = certificates(root, "encryption")

    def answer(self, asked: Asked, person: Person) -> str:
        """Answer a request of the site for somebody; raise AssertionError for one that the site did not sign."""
        self.check(urlsplit(asked.url).query)
        said = said_to(asked, name_id=person.id, attributes=person.attributes)
        response = signed(said, How(signer=self.key))
        if self.encrypts_to is not None:
            encrypt(response, replace(self.key, certificate=self.encrypts_to))
        return encoded(response)

    def check(self, query: str) -> None:
        """Raise AssertionError unless one of the certificates that the site told of made the signature."""
        data, _, last = query.partition("&Signature=")
        (signature,) = parse_qs(f"Signature={last}")["Signature"]
        for certificate in self.trusted:
            key = certificate.public_key()
            assert isinstance(key, rsa.RSAPublicKey)
            try:
                key.verify(base64.b64decode(signature), data.encode(), padding.PKCS1v15(), hashes.SHA256())
            except InvalidSignature:
                continue
            return
        raise AssertionError("a request is signed by a key that the site had not told of before")


def certificates(root: Any, use: str) -> list[x509.Certificate]:
    """Return the certificates of the site's metadata for a use."""
    found = root.iterfind(f".//{{{MD}}}KeyDescriptor[@use='{use}']//{{{idp.DS}}}X509Certificate")
    return [x509.load_der_x509_certificate(base64.b64decode(one.text)) for one in found]


def metadata(pairs: Sequence[Pair]) -> str:
    """Return what the provider says of itself while it may sign by any of these keys."""
    keys = "".join(
        f'<KeyDescriptor use="signing"><KeyInfo xmlns="{idp.DS}"><X509Data><X509Certificate>{one.body}'
        "</X509Certificate></X509Data></KeyInfo></KeyDescriptor>"
        for one in pairs
    )
    service = f'<SingleSignOnService Binding="{REDIRECT}" Location="{idp.SSO_URL}"/>'
    role = f'<IDPSSODescriptor protocolSupportEnumeration="{idp.SAMLP}">{keys}{service}</IDPSSODescriptor>'
    return f'<EntityDescriptor xmlns="{MD}" entityID="{idp.ISSUER}">{role}</EntityDescriptor>'
