"""A security key made of software, which signs what a browser would have it sign, or something else on request."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

ORIGIN = "https://www.example.org"
PRESENT, VERIFIED, ATTESTED = 1, 4, 64


def encoded(data: bytes) -> str:
    """Return bytes in URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Authenticator:
    """One key, which counts how often it has signed."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(32)
        self.count = 0

    def client_data(self, kind: str, challenge: str, origin: str) -> bytes:
        """Return what the browser says about the page."""
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()

    def data(self, rp_id: str, flags: int) -> bytes:
        """Return what the key says about itself."""
        self.count += 1
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def public(self) -> bytes:
        """Return the public key as COSE has it."""
        numbers = self.private.public_key().public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})

    def create(self, options: dict[str, Any], origin: str = ORIGIN, flags: int = PRESENT | VERIFIED) -> str:
        """Make the key known."""
        client = self.client_data("webauthn.create", options["challenge"], origin)
        about = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + self.public()
        data = self.data(options["rp"]["id"], flags | ATTESTED) + about
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": encoded(client),
            "attestationObject": encoded(attestation),
            "transports": ["usb", "made-up"],
        }
        return self.answer(response)

    def get(
        self, options: dict[str, Any], origin: str = ORIGIN, flags: int = PRESENT | VERIFIED, rp_id: str | None = None
    ) -> str:
        """Sign a challenge."""
        client = self.client_data("webauthn.get", options["challenge"], origin)
        data = self.data(rp_id or options["rpId"], flags)
        signature = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": encoded(client),
            "authenticatorData": encoded(data),
            "signature": encoded(signature),
        }
        return self.answer(response)

    def answer(self, response: dict[str, Any]) -> str:
        """Return what a form sends."""
        identifier = encoded(self.id)
        return json.dumps({"id": identifier, "rawId": identifier, "type": "public-key", "clientExtensionResults": {},
                           "response": response})  # fmt: skip
