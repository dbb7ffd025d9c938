"""WebSocket (RFC 6455) as a client speaks it: the key of the handshake, and messages both ways."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator

IDENTITY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LAST, MASKED = 0x80, 0x80
KEY_BYTES, MASK_BYTES = 16, 4


def new_key() -> str:
    """Return a key for a handshake."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def answer_to(key: str) -> str:
    """Return what a server answers to a key, that speaks the protocol and does not just repeat what was said before."""
    digest = hashlib.sha1(f"{key}{IDENTITY}".encode()).digest()  # noqa: S324 - the protocol's own; it protects nothing
    return base64.b64encode(digest).decode()


def message(kind: int, data: bytes) -> bytes:
    """Return the one frame of a message; a client hides what it sends from programs in between by a mask."""
    size = len(data)
    if size < 126:
        head = bytes([LAST | kind, MASKED | size])
    elif size < 1 << 16:
        head = bytes([LAST | kind, MASKED | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([LAST | kind, MASKED | 127]) + size.to_bytes(8, "big")
    mask = secrets.token_bytes(MASK_BYTES)
    return head + mask + masked(data, mask)


def masked(data: bytes, mask: bytes) -> bytes:
    """Return bytes with a mask over them, or, of masked ones, what is below."""
    over = (mask * (len(data) // MASK_BYTES + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(over, "big")).to_bytes(len(data), "big")


class Messages:
    """Makes messages of the bytes that a server sends, which may end anywhere."""

    def __init__(self) -> None:
        self.rest = b""
        self.kind = BINARY
        self.begun = b""

    def of(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Return the kind and the content of each message that is complete with these bytes."""
        self.rest += data
        while (frame := self._frame()) is not None:
            last, kind, content = frame
            if kind >= CLOSE:
                # May come between the parts of another.
                yield kind, content
                continue
            if kind != CONTINUED:
                self.kind, self.begun = kind, b""
            self.begun += content
            if last:
                yield self.kind, self.begun

    def _frame(self) -> tuple[bool, int, bytes] | None:
        if len(self.rest) < 2:
            return None
        first, second = self.rest[0], self.rest[1]
        size, at = second & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(self.rest[2:at], "big")
        if len(self.rest) < at + size:
            return None
        content, self.rest = self.rest[at : at + size], self.rest[at + size :]
        return bool(first & LAST), first & 0x0F, content
