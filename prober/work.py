"""Kinds of requests: what is sent, how often, how fast, and what must come back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

PIECES_A_SECOND = 10
BLOCK = bytes(range(256))


def pattern(size: int) -> bytes:
    """Return bytes that whoever knows the size knows too."""
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


@dataclass(frozen=True)
class Work:
    """One kind of request; `seconds` is how long its body takes to send, the hashes are what has to come back."""

    kind: str
    path: str
    rate: float
    method: str = "GET"
    fresh: bool = False
    body: bytes = b""
    seconds: float = 0.0
    numbered: str = ""
    wanted_sha256: str = ""
    wanted_echo: str = ""

    def payload(self, number: int) -> bytes:
        """Return the body of one request; a numbered one says which run and which request of it that is."""
        if not self.numbered:
            return self.body
        return json.dumps({"run": self.numbered, "number": number, "filling": "x" * 200}).encode()

    def pieces(self, number: int) -> list[bytes]:
        """Return the body as it is sent: at once, or piece by piece over its seconds."""
        body = self.payload(number)
        count = round(self.seconds * PIECES_A_SECOND) + 1
        size = -(-len(body) // count)
        return [body[at : at + size] for at in range(0, len(body), size)] if body else []


def get(path: str, rate: float) -> Work:
    """Ask on connections that stay open."""
    return Work("get", path, rate)


def fresh(path: str, rate: float) -> Work:
    """Ask on a new connection each time."""
    return Work("fresh", path, rate, fresh=True)


def post(path: str, rate: float, run: str) -> Work:
    """Send what must be done once and only once, on connections that stay open."""
    return Work("post", path, rate, method="POST", numbered=run)


def download(path: str, rate: float, size: int, seconds: float) -> Work:
    """Fetch a known body that the server takes its time to send."""
    asked = f"{path}?size={size}&seconds={seconds:g}"
    return Work("download", asked, rate, wanted_sha256=hashlib.sha256(pattern(size)).hexdigest())


def upload(path: str, rate: float, size: int, seconds: float) -> Work:
    """Send a body piece by piece, of which the answer must hold the hash."""
    body = pattern(size)
    echo = hashlib.sha256(body).hexdigest()
    return Work("upload", path, rate, method="POST", body=body, seconds=seconds, wanted_echo=echo)
