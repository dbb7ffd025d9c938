"""The two kinds of resource: what they take and tell, what of it is secret, and what is refused beforehand.

What makes keys and certificates is loaded when the first one is made: an update that makes none does without.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from offline.plugin.values import Properties, is_unknown
from offline.tls.schema import (
    FLAG,
    INTEGER,
    SUBJECT,
    TEXT,
    TEXTS,
    Checker,
    Input,
    Made,
    Refusal,
    no_more,
    texts,
    whole,
)
from offline.tls.uses import EXTENDED_USES, KEY_USES

ALGORITHMS = ("RSA", "ECDSA", "ED25519")
CURVES = ("P224", "P256", "P384", "P521")
SMALLEST_RSA, LARGEST_RSA = 1024, 16384


@dataclass(frozen=True)
class Resource:
    """One kind: its inputs, how it is made from complete inputs, and what it tells besides them."""

    inputs: Mapping[str, Input]
    make: Callable[[Properties, datetime], Made]
    outputs: tuple[str, ...]
    secret: frozenset[str]
    check: Checker = no_more
    schema_version: int = 0
    """Of the official provider's state, which notes it where it is not 0."""
    expires: bool = False


def _make_private_key(full: Properties, _: datetime) -> Made:
    from offline.tls import private_key

    return private_key.made(
        private_key.generate(str(full["algorithm"]), whole(full["rsaBits"]), str(full["ecdsaCurve"]))
    )


def _make_certificate(full: Properties, now: datetime) -> Made:
    from offline.tls import certificate

    return certificate.made(full, now)


def check_private_key(full: Properties) -> list[Refusal]:
    """Refuse RSA keys that anybody can break, and those that take hours to make."""
    bits = full["rsaBits"]
    if full["algorithm"] != "RSA" or is_unknown(bits) or SMALLEST_RSA <= whole(bits) <= LARGEST_RSA:
        return []
    return [Refusal("rsaBits", f"is {bits}; it must be from {SMALLEST_RSA} to {LARGEST_RSA}")]


def check_certificate(full: Properties) -> list[Refusal]:
    """Refuse inputs that do not go together, and addresses that are none."""
    found = []
    both = [full[name] is not None for name in ("privateKeyPem", "privateKeyPemWo")]
    if both.count(True) != 1:
        count = "both are given" if all(both) else "neither is given"
        found.append(Refusal("privateKeyPem", f"or privateKeyPemWo must be given, and one of them alone; {count}"))
    if (full["privateKeyPemWo"] is None) != (full["privateKeyPemWoVersion"] is None):
        found.append(Refusal("privateKeyPemWoVersion", "goes with privateKeyPemWo; give both or neither"))
    found += [
        Refusal("ipAddresses", f"has {address!r}; each must be an IP address")
        for address in texts(full["ipAddresses"])
        if not is_address(address)
    ]
    if "" in texts(full["uris"]):
        found.append(Refusal("uris", "has an empty text; each must be a URI"))
    if full["setAuthorityKeyId"] is True and full["isCaCertificate"] is False and full["setSubjectKeyId"] is False:
        found.append(
            Refusal("setAuthorityKeyId", "is true; it must go with setSubjectKeyId or isCaCertificate, whose id it is")
        )
    if full["isCaCertificate"] is True and not full["subject"]:
        found.append(Refusal("subject", "names nobody; with isCaCertificate it must"))
    length = full["maxPathLength"]
    if full["isCaCertificate"] is False and isinstance(length, int) and length > 0:
        found.append(Refusal("maxPathLength", f"is {length}; only with isCaCertificate may it be above 0"))
    return found


def is_address(text: str) -> bool:
    """Say whether a text is an IP address; one with a zone means something on one machine alone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


RESOURCES: Mapping[str, Resource] = {
    "tls:index/privateKey:PrivateKey": Resource(
        inputs={
            "algorithm": Input(TEXT, required=True, allowed=ALGORITHMS),
            "ecdsaCurve": Input(TEXT, default="P224", allowed=CURVES),
            "rsaBits": Input(INTEGER, default=2048),
        },
        make=_make_private_key,
        outputs=(
            "privateKeyOpenssh", "privateKeyPem", "privateKeyPemPkcs8", "publicKeyFingerprintMd5",
            "publicKeyFingerprintSha256", "publicKeyOpenssh", "publicKeyPem",
        ),
        secret=frozenset({"privateKeyOpenssh", "privateKeyPem", "privateKeyPemPkcs8"}),
        check=check_private_key,
        schema_version=1,
    ),
    "tls:index/selfSignedCert:SelfSignedCert": Resource(
        inputs={
            "allowedUses": Input(TEXTS, required=True, allowed=tuple(sorted((*KEY_USES, *EXTENDED_USES)))),
            "dnsNames": Input(TEXTS),
            "earlyRenewalHours": Input(INTEGER, default=0, least=0, replaces=False),
            "ipAddresses": Input(TEXTS),
            "isCaCertificate": Input(FLAG, default=False),
            "maxPathLength": Input(INTEGER, least=-1, stays=True),
            "privateKeyPem": Input(TEXT, secret=True),
            "privateKeyPemWo": Input(TEXT, secret=True, untold=True),
            "privateKeyPemWoVersion": Input(INTEGER),
            "setAuthorityKeyId": Input(FLAG, default=False),
            "setSubjectKeyId": Input(FLAG, default=False),
            "subject": Input(SUBJECT),
            "uris": Input(TEXTS),
            "validityPeriodHours": Input(INTEGER, required=True, least=0),
        },
        make=_make_certificate,
        outputs=("certPem", "keyAlgorithm", "validityEndTime", "validityStartTime"),
        secret=frozenset({"privateKeyPem"}),
        check=check_certificate,
        expires=True,
    ),
}  # fmt: skip
