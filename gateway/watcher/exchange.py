"""HTTP in small: one request on one connection, over TCP or a unix socket."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST_ANSWER = 4 * 1024 * 1024
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,12}) *\r\n", re.IGNORECASE)

Address = Path | tuple[str, int]


class ExchangeError(OSError):
    """No answer, or none that is HTTP."""


@dataclass(frozen=True)
class Answer:
    """A status, headers by lower-case name, and a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> Any:
        """Return the JSON in the body, or None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def exchange(
    address: Address,
    method: str,
    target: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,
) -> Answer:
    """Send one request and return the answer within `timeout` seconds altogether; raise ExchangeError."""
    until = time.monotonic() + timeout
    lines = {"Host": "gateway", "Connection": "close", "Accept": "*/*", **(headers or {})}
    if body or method in ("PUT", "POST"):
        lines["Content-Length"] = str(len(body))
    # HTTP/1.0: no server answers it in chunks.
    head = f"{method} {target} HTTP/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    try:
        with connect(address, timeout) as connection:
            connection.settimeout(left(until))
            connection.sendall(head.encode("latin-1") + b"\r\n" + body)
            return parse(receive(connection, until))
    except ExchangeError:
        raise
    except TimeoutError as error:
        raise ExchangeError(f"no answer within {timeout:g} s") from error
    except OSError as error:
        raise ExchangeError(error.strerror or str(error)) from error


def connect(address: Address, timeout: float) -> socket.socket:
    """Return a connected socket; raise OSError."""
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(str(address))
    except OSError:
        connection.close()
        raise
    return connection


def left(until: float) -> float:
    """Return the seconds left; raise TimeoutError when there are none."""
    remaining = until - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def receive(connection: socket.socket, until: float) -> bytes:
    """Return what comes until it is whole or the other side closes; raise OSError, ExchangeError for too much."""
    data = b""
    while True:
        connection.settimeout(left(until))
        piece = connection.recv(65536)
        if not piece or complete(data := data + piece):
            return data
        if len(data) > LARGEST_ANSWER:
            raise ExchangeError(f"the answer is longer than {LARGEST_ANSWER} bytes")


def complete(data: bytes) -> bool:
    """Return whether the bytes are an answer as long as it said it would be."""
    head, blank, body = data.partition(b"\r\n\r\n")
    found = LENGTH.search(head + b"\r\n") if blank else None
    return found is not None and len(body) >= int(found[1])


def parse(data: bytes) -> Answer:
    """Return the answer in the bytes; raise ExchangeError where they are cut short or no HTTP."""
    head, blank, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not blank or len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise ExchangeError("closed the connection without an answer" if not data else "what came is no HTTP answer")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    length = headers.get("content-length", "")
    if length.isdigit() and len(body) < int(length):
        raise ExchangeError(f"the answer was cut short: {len(body)} of {length} bytes")
    return Answer(int(words[1]), headers, body)
