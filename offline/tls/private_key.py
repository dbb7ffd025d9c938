"""Private keys: generated, read from PEM, and told in every form."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from offline.plugin.errors import PluginError
from offline.tls.schema import Made

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

CURVES: dict[str, ec.EllipticCurve] = {
    "P224": ec.SECP224R1(),
    "P256": ec.SECP256R1(),
    "P384": ec.SECP384R1(),
    "P521": ec.SECP521R1(),
}
BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
FORMS = ("RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY")
SPACES = "\t\n\v\f\r \x85\xa0"
"""What the official id leaves out at the end of a public key, as if that were text."""


def generate(algorithm: str, bits: int, curve: str) -> PrivateKey:
    """Return a new key."""
    if algorithm == "ECDSA":
        return ec.generate_private_key(CURVES[curve])
    if algorithm == "ED25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def parse(text: str) -> PrivateKey:
    """Return the key of a text; raise PluginError, which shows nothing of it."""
    found = BEGIN.search(text)
    form = found[1] if found else "none"
    if form not in FORMS:
        raise PluginError(f"privateKeyPem must be PEM that begins with one of {', '.join(FORMS)}; it has {form}")
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PluginError(f"privateKeyPem begins as {form}, and cannot be read as one") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise PluginError("privateKeyPem is a key that is neither RSA, ECDSA nor ED25519")
    return key


def algorithm_of(key: PrivateKey) -> str:
    """Return the name of a key's algorithm."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "RSA"
    return "ECDSA" if isinstance(key, ec.EllipticCurvePrivateKey) else "ED25519"


def made(key: PrivateKey) -> Made:
    """Return a key's id and outputs; OpenSSH knows no P224."""
    # Ed25519 has no form of its own.
    own = PrivateFormat.PKCS8 if isinstance(key, ed25519.Ed25519PrivateKey) else PrivateFormat.TraditionalOpenSSL
    public = key.public_key()
    foreign = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP224R1)
    line = "" if foreign else public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + "\n"
    digests = fingerprints(base64.b64decode(line.split()[1])) if line else ("", "")
    return identifier(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)), {
        "privateKeyOpenssh": "" if foreign else private(key, PrivateFormat.OpenSSH),
        "privateKeyPem": private(key, own),
        "privateKeyPemPkcs8": private(key, PrivateFormat.PKCS8),
        "publicKeyFingerprintMd5": digests[0],
        "publicKeyFingerprintSha256": digests[1],
        "publicKeyOpenssh": line,
        "publicKeyPem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    }


def private(key: PrivateKey, form: PrivateFormat) -> str:
    """Return a private key in one of its forms."""
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def fingerprints(public: bytes) -> tuple[str, str]:
    """Return the two fingerprints that OpenSSH shows of a public key."""
    shown = hashlib.md5(public, usedforsecurity=False).hexdigest()
    digest = base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")
    return ":".join(shown[at : at + 2] for at in range(0, len(shown), 2)), f"SHA256:{digest}"


def identifier(public: bytes) -> str:
    """Return the id of a key: a digest of its public half."""
    trimmed = public.decode("utf-8", "surrogateescape").rstrip(SPACES).encode("utf-8", "surrogateescape")
    return hashlib.sha1(trimmed, usedforsecurity=False).hexdigest()
