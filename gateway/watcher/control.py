"""The control: HTTP on a unix socket that only the gateway's own user can open."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher import journal
from watcher.gateway import Gateway, Refused

LARGEST_REQUEST = 4 * 1024 * 1024
READ_TIMEOUT = 10.0
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict"}


@dataclass(frozen=True)
class Request:
    """What came."""

    method: str
    path: str
    body: bytes


class RequestError(ValueError):
    """What came is no request."""


def listen(path: Path) -> socket.socket:
    """Return the control's socket, in the place of one that a killed watcher left; raise OSError."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    path.chmod(0o600)
    made.listen(16)
    return made


def serve(listening: socket.socket, gateway: Gateway) -> None:
    """Answer for ever, each connection in a thread of its own."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection, gateway), name="control", daemon=True).start()


def answer(connection: socket.socket, gateway: Gateway) -> None:
    """Answer one connection's one request."""
    with connection, contextlib.suppress(OSError):
        connection.settimeout(READ_TIMEOUT)
        try:
            status, kind, text = act(read(connection), gateway)
        except RequestError as error:
            status, kind, text = problem(400, str(error))
        body = text.encode()
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Refused')}\r\nContent-Type: {kind}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)


def act(request: Request, gateway: Gateway) -> tuple[int, str, str]:
    """Return status, media type and body for a request."""
    try:
        match request.method, request.path:
            case "GET", "/status":
                return document(gateway.status())
            case "GET", "/metrics":
                return 200, "text/plain; version=0.0.4", gateway.metrics()
            case "PUT", "/files":
                return document(gateway.put_files(parse(request.body)))
            case "PUT", "/upstream":
                return document(gateway.put_upstream(parse(request.body)))
            case "PUT", "/maintenance":
                return document(gateway.put_maintenance(parse(request.body)))
            case "DELETE", "/maintenance":
                return document(gateway.put_maintenance(None))
            case _, "/status" | "/metrics" | "/files" | "/upstream" | "/maintenance":
                return problem(405, f"{request.method} is not known on {request.path}")
            case _:
                known = "GET /status, GET /metrics, PUT /files, PUT /upstream, PUT /maintenance and DELETE /maintenance"
                return problem(404, f"known are {known}")
    except Refused as refusal:
        journal.warning("a change was refused", path=request.path, problem=str(refusal))
        return problem(refusal.status, str(refusal))
    except Exception as error:  # whatever it was, the one who asked is told
        journal.error("the control failed", path=request.path, problem=f"{type(error).__name__}: {error}")
        return problem(500, f"{type(error).__name__}: {error}")


def document(value: Any) -> tuple[int, str, str]:
    """Return a JSON answer."""
    return 200, "application/json", json.dumps(value) + "\n"


def problem(status: int, why: str) -> tuple[int, str, str]:
    """Return an answer that says what is wrong."""
    return status, "application/json", json.dumps({"error": why}) + "\n"


def parse(body: bytes) -> Any:
    """Return the JSON in a body; raise RequestError."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error


def read(connection: socket.socket) -> Request:
    """Return the request on a connection; raise RequestError, OSError."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece or len(data) > LARGEST_REQUEST:
            raise RequestError("the request is cut short")
        data += piece
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3:
        raise RequestError("the request line is not HTTP")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > LARGEST_REQUEST or "transfer-encoding" in headers:
        raise RequestError(f"wanted a body with a Content-Length of at most {LARGEST_REQUEST}")
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray(rest)
    while len(body) < int(length):
        piece = connection.recv(65536)
        if not piece:
            raise RequestError("the body is cut short")
        body += piece
    return Request(words[0], words[1].partition("?")[0], bytes(body[: int(length)]))
