"""HTTP as the gate speaks it: one request for each connection, a few bytes long, without a body."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

HEAD_BYTES = 4096
HEAD_SECONDS = 5.0
SEND_SECONDS = 5.0
END = b"\r\n\r\n"
FIRST = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.1")
HEADER = re.compile(rb"([A-Za-z][A-Za-z0-9-]*):[ \t]*([\x20-\x7e\t]*)")
METHODS = ("GET", "POST")
REFUSED_HEADERS = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer"})


class RefusedError(Exception):
    """What was asked is not done: the status, why, what to do, and whether the same may work later."""

    def __init__(self, status: HTTPStatus, reason: str, hint: str = "", *, transient: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.hint = hint
        self.transient = transient

    def told(self) -> dict[str, object]:
        """Return it as an answer's body."""
        return {"reason": self.reason, "hint": self.hint, "transient": self.transient}


@dataclass(frozen=True)
class Request:
    """A method and a target, as they came: nothing in them is decoded."""

    method: str
    target: str


def read(connection: socket.socket) -> Request:
    """Return the one request of a connection; raise RefusedError for anything that is not exactly one."""
    return parse(head(connection))


def head(connection: socket.socket) -> bytes:
    """Return the bytes of a request up to the empty line; raise RefusedError when they are too many or too slow."""
    deadline = time.monotonic() + HEAD_SECONDS
    got = b""
    while END not in got:
        if len(got) > HEAD_BYTES:
            raise RefusedError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request's head is longer than {HEAD_BYTES} bytes"
            )
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, f"the request was not whole within {HEAD_SECONDS:.0f} s")
        connection.settimeout(remaining)
        try:
            more = connection.recv(HEAD_BYTES)
        except TimeoutError:
            continue
        if not more:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the connection ended in the middle of a request")
        got += more
    before, _, after = got.partition(END)
    if after:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "more than one request, or a body, came on one connection")
    return before


def parse(text: bytes) -> Request:
    """Return what a head asks for; raise RefusedError for all that is not plain HTTP/1.1 without a body."""
    first, *rest = text.split(b"\r\n")
    found = FIRST.fullmatch(first)
    if not found:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the first line is not METHOD /TARGET HTTP/1.1")
    for line in rest:
        header = HEADER.fullmatch(line)
        if not header:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a line of the head is not NAME: VALUE")
        name, value = header[1].lower(), header[2].strip()
        if name in REFUSED_HEADERS or (name == b"content-length" and value != b"0"):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a request has no body and asks for no other protocol")
    method = found[1].decode()
    if method not in METHODS:
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"the method is none of {', '.join(METHODS)}")
    return Request(method, found[2].decode())


def send(connection: socket.socket, status: HTTPStatus, body: Mapping[str, object]) -> None:
    """Answer; whoever does not read in time does without."""
    content = json.dumps(body).encode()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Connection: close",
    )
    connection.settimeout(SEND_SECONDS)
    connection.sendall("\r\n".join(lines).encode() + END + content)
