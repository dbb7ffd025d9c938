"""SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677), so that no password in clear text reaches the server or its log."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stringprep
import unicodedata
from typing import NamedTuple

ITERATIONS = 4096
SALT_BYTES = 16
BLOCK = 64  # of SHA-256, in bytes

PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)
FORM = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


def prepared(password: str) -> str:
    """Return the password as SASLprep (RFC 4013) has it, which is what clients send.

    Raise ValueError, without the password in it, when it is empty or has characters that SASLprep prohibits.
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if not stringprep.in_table_b1(character)
    )
    text = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not text:
        raise ValueError("it is empty")
    if any(table(character) for character in text for table in PROHIBITED):
        raise ValueError("it has control, unassigned or otherwise prohibited characters (RFC 4013)")
    if any(stringprep.in_table_d1(character) for character in text):
        ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
        if not ends or any(stringprep.in_table_d2(character) for character in text):
            raise ValueError("it mixes right-to-left and left-to-right characters (RFC 4013)")
    return text


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the HMAC (RFC 2104); the image's minimal Python has hashlib, but no hmac."""
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


class Verifier(NamedTuple):
    """What a server stores to recognise a password without knowing it."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def render(self) -> str:
        """Return the verifier as PostgreSQL stores it."""
        salt, stored, server = (
            base64.b64encode(part).decode("ascii") for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"


def derive(password: str, salt: bytes, iterations: int) -> Verifier:
    """Return the verifier of a password under a salt; raise ValueError as `prepared` does."""
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt, iterations)
    stored = hashlib.sha256(hmac_sha256(salted, b"Client Key")).digest()
    return Verifier(iterations, salt, stored, hmac_sha256(salted, b"Server Key"))


def new(password: str) -> Verifier:
    """Return a verifier under a fresh salt; raise ValueError as `prepared` does."""
    return derive(password, os.urandom(SALT_BYTES), ITERATIONS)


def parse(text: str) -> Verifier | None:
    """Return the verifier that PostgreSQL stores in this form; None for any other."""
    found = FORM.fullmatch(text)
    if not found:
        return None
    salt, stored, server = (base64.b64decode(found[index]) for index in (2, 3, 4))
    return Verifier(int(found[1]), salt, stored, server)


def matches(password: str, stored: str | None) -> bool:
    """Return whether a stored verifier is this password's, with at least the iterations of a new one."""
    verifier = parse(stored or "")
    if verifier is None or verifier.iterations < ITERATIONS:
        return False
    return derive(password, verifier.salt, verifier.iterations) == verifier
