"""Where requests go: an address that is looked up once, and the name by which the site knows itself."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Target:
    """An address and port, and the Host header."""

    address: str
    port: int
    host: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Return the target of an http URL; raise ValueError for any other, or a name that nobody knows."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"url: got {url!r}, wanted http://HOST[:PORT] without a path")
        port = parts.port or 80
        try:
            found = socket.getaddrinfo(parts.hostname, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ValueError(f"url: {parts.hostname!r} has no IPv4 address: {error}") from None
        return cls(str(found[0][4][0]), port, parts.netloc)
