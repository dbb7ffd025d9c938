"""Certificates that are signed by the key they are about."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Value
from offline.tls.private_key import PrivateKey, algorithm_of, parse
from offline.tls.renewal import written
from offline.tls.schema import STREETS, Made, texts, whole
from offline.tls.uses import EXTENDED_USES

SERIALS = 2**128
NAMES = {
    "country": NameOID.COUNTRY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    STREETS: NameOID.STREET_ADDRESS,
    "postalCode": NameOID.POSTAL_CODE,
    "commonName": NameOID.COMMON_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}
"""A subject's names, in the order in which they stand in a certificate."""


def made(full: Properties, now: datetime) -> Made:
    """Return a new certificate's id, its serial number, and its outputs; raise PluginError where it cannot be made."""
    key = parse(str(full["privateKeyPem"] if full["privateKeyPem"] is not None else full["privateKeyPemWo"]))
    serial = secrets.randbelow(SERIALS - 1) + 1
    try:
        end = now + timedelta(hours=whole(full["validityPeriodHours"]))
        named = name(full["subject"])
        builder = x509.CertificateBuilder(named, named, key.public_key(), serial, now, end)
        for extension, critical in extensions(full, key, named):
            builder = builder.add_extension(extension, critical)
        signed = builder.sign(key, digest(key))
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm) as error:
        raise PluginError(f"SelfSignedCert: no such certificate can be made: {error}") from error
    return str(serial), {
        "certPem": signed.public_bytes(Encoding.PEM).decode(),
        "keyAlgorithm": algorithm_of(key),
        "validityEndTime": written(end),
        "validityStartTime": written(now),
    }


def name(subject: Value) -> x509.Name:
    """Return a subject as a name; what is empty is not in it. Raise ValueError for what X.509 does not allow."""
    given = subject if isinstance(subject, dict) else {}
    parts = []
    for key, oid in NAMES.items():
        value = given.get(key)
        found = texts(value) if key == STREETS else texts([value])
        attributes = [x509.NameAttribute(oid, each) for each in found if each]
        if attributes:
            parts.append(x509.RelativeDistinguishedName(attributes))
    return x509.Name(parts)


def digest(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """Return the digest that goes with a key; Ed25519 has its own."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384() if key.curve.key_size == 384 else hashes.SHA512()
    return hashes.SHA256()


def extensions(full: Properties, key: PrivateKey, named: x509.Name) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Yield a certificate's extensions, and whether each is critical."""
    uses = texts(full["allowedUses"])
    plain = [use for use in uses if use not in EXTENDED_USES]
    if plain:
        yield key_usage(plain), True
    extended = [x509.ObjectIdentifier(EXTENDED_USES[use]) for use in uses if use in EXTENDED_USES]
    if extended:
        yield x509.ExtendedKeyUsage(extended), False
    authority = full["isCaCertificate"] is True
    length = full["maxPathLength"]
    # 0 counts as not given, as officially.
    yield (
        x509.BasicConstraints(authority, length if authority and isinstance(length, int) and length > 0 else None),
        True,
    )
    if authority or full["setSubjectKeyId"] is True:
        found = key_identifier(key)
        yield x509.SubjectKeyIdentifier(found), False
        if full["setAuthorityKeyId"] is True:
            yield x509.AuthorityKeyIdentifier(found, None, None), False
    others = alternatives(full)
    if others:
        yield x509.SubjectAlternativeName(others), not list(named)


def key_usage(uses: list[str]) -> x509.KeyUsage:
    """Return the key usage of some allowed uses."""
    return x509.KeyUsage(
        digital_signature="digital_signature" in uses,
        content_commitment="content_commitment" in uses,
        key_encipherment="key_encipherment" in uses,
        data_encipherment="data_encipherment" in uses,
        key_agreement="key_agreement" in uses,
        key_cert_sign="cert_signing" in uses,
        crl_sign="crl_signing" in uses,
        encipher_only="encipher_only" in uses,
        decipher_only="decipher_only" in uses,
    )


def key_identifier(key: PrivateKey) -> bytes:
    """Return a digest of the public key, by which others name it."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        content = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        content = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    else:
        # As an OCTET STRING of ASN.1, as officially.
        raw = public.public_bytes_raw()
        content = bytes([4, len(raw)]) + raw
    return hashlib.sha1(content, usedforsecurity=False).digest()


def alternatives(full: Properties) -> list[x509.GeneralName]:
    """Return the other names of a certificate: of hosts, addresses and URIs."""
    found: list[x509.GeneralName] = [x509.DNSName(each) for each in texts(full["dnsNames"])]
    for each in texts(full["ipAddresses"]):
        address = ipaddress.ip_address(each)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        found.append(x509.IPAddress(mapped or address))
    return [*found, *(x509.UniformResourceIdentifier(each) for each in texts(full["uris"]))]
