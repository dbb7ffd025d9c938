"""The answer to what Gunicorn refuses before the app sees it: a few words, and nothing of what the client sent."""

from __future__ import annotations

import socket
from collections.abc import Callable

from gunicorn import util  # type: ignore[import-untyped]

from . import security_headers
from .settings import Settings


def answer(settings: Settings, status: int, reason: str) -> bytes:
    """Return a whole answer, after which the connection is closed."""
    body = f"{status} {reason}\n"
    headers = {
        "Connection": "close",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        **security_headers.every_answers(settings),
    }
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


def writer(settings: Settings) -> Callable[[socket.socket, int, str, str], None]:
    """Return what takes the place of Gunicorn's `write_error`, whose page repeats the request to whoever sees it."""

    def write(connection: socket.socket, status: int, reason: str, _message: str) -> None:
        util.write_nonblock(connection, answer(settings, status, reason))

    return write
