"""Certificates and private keys as settings give them: read, checked against each other, and written one way."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

SMALLEST_RSA, NEW_RSA = 2048, 3072
BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
WANTED_CERTIFICATE = "an X.509 certificate with an RSA key of at least 2048 bits, in PEM or as its base64 alone"
WANTED_KEY = "an RSA private key of at least 2048 bits in PEM, without a passphrase"


@dataclass(frozen=True)
class Certificate:
    """A certificate: what the toolkit is given, and what people are told of it."""

    pem: str
    fingerprint: str
    thumbprint: str
    subject: str
    ends: datetime

    @property
    def body(self) -> str:
        """The base64 that metadata has of it."""
        return "".join(self.pem.splitlines()[1:-1])


def certificate(text: str) -> Certificate:
    """Return a certificate; raise ValueError for what is none, or whose key is too weak."""
    body = "".join(BLOCK.sub(r"\1", text.strip()).split())
    try:
        found = x509.load_der_x509_certificate(base64.b64decode(body, validate=True))
        key = found.public_key()
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError(f"got something that is no certificate; wanted {WANTED_CERTIFICATE}") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < SMALLEST_RSA:
        size = f"an RSA key of {key.key_size} bits" if isinstance(key, rsa.RSAPublicKey) else "a key that is not RSA"
        raise ValueError(f"got a certificate with {size}; wanted {WANTED_CERTIFICATE}")
    return Certificate(
        pem=found.public_bytes(serialization.Encoding.PEM).decode(),
        fingerprint=found.fingerprint(hashes.SHA256()).hex(),
        # What Entra's portal shows; nothing is decided by it.
        thumbprint=found.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303
        subject=found.subject.rfc4514_string(),
        ends=found.not_valid_after_utc,
    )


def certificates(text: str) -> tuple[Certificate, ...]:
    """Return the certificates of a text: PEM blocks, or base64 with a comma or a blank line between two."""
    blocks = BLOCK.findall(text) or [part for part in re.split(r",|\n\s*\n", text) if part.strip()]
    found: dict[str, Certificate] = {}
    for number, block in enumerate(blocks, 1):
        try:
            one = certificate(block)
        except ValueError as error:
            raise ValueError(f"certificate {number} of {len(blocks)}: {error}") from None
        found[one.fingerprint] = one
    return tuple(found.values())


def private_key(text: str) -> str:
    """Return a private key in the form that the toolkit takes; raise ValueError, which shows none of it."""
    try:
        key = serialization.load_pem_private_key(text.strip().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"got something that is no such key; wanted {WANTED_KEY}") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < SMALLEST_RSA:
        size = f"an RSA key of {key.key_size} bits" if isinstance(key, rsa.RSAPrivateKey) else "a key that is not RSA"
        raise ValueError(f"got {size}; wanted {WANTED_KEY}")
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def belong_together(pem: str, key: str) -> bool:
    """Tell whether a certificate is about a private key."""
    public = x509.load_pem_x509_certificate(pem.encode()).public_key()
    private = serialization.load_pem_private_key(key.encode(), password=None)
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return public.public_bytes(*form) == private.public_key().public_bytes(*form)


def new_pair(name: str, days: int, now: datetime) -> tuple[str, str]:
    """Return a new private key and its certificate, which the key itself has signed, both in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=NEW_RSA)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        # Clocks differ: it is good a moment ago already.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private.decode(), made.public_bytes(pem).decode()
