"""A small client of the Docker daemon's REST API, over a Unix socket or TCP with or without TLS."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from kubeapi.connections import CONNECT_SECONDS, Answer, Connections, Request
from kubeapi.route import SecureConnection

DEFAULT_HOST = "unix:///var/run/docker.sock"
OLDEST_API = (1, 41)
NEWEST_API = (1, 51)
CALL_SECONDS = 60.0
LONG_SECONDS = 1200.0
AT_ONCE = 64  # a call may wait minutes for a container
REFUSED = 400
SCHEMES = ("unix", "tcp", "http", "https")
PORTS = {"http": 80, "https": 443}

Query = Mapping[str, str | int | bool]


class DaemonError(Exception):
    """The daemon refused a call; `status` is the HTTP status, `message` the daemon's words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Error response from daemon: {message.strip()}")
        self.status = status
        self.message = message.strip()


class UnreachableError(Exception):
    """No daemon answers at the address."""


class SlowError(Exception):
    """The daemon did not answer in the time the call was given."""


class _LateError(Exception):
    """There was no answer in time; which call waited for it is said where that is known."""


@dataclass(frozen=True)
class Address:
    """Where the daemon is, and with TLS the files or texts that prove who is who."""

    host: str = DEFAULT_HOST
    cert_path: str = ""
    ca_material: str = ""
    cert_material: str = ""
    key_material: str = ""

    @property
    def valid(self) -> bool:
        """Say whether the host is an address of a kind this client speaks."""
        parts = urlsplit(self.host)
        return parts.scheme in SCHEMES and bool(parts.netloc or parts.path)

    @property
    def secured(self) -> bool:
        """Say whether TLS is asked for."""
        return bool(self.cert_path or self.ca_material or self.cert_material) or self.host.startswith("https://")


class Daemon:
    """One daemon. Its calls may be made from many threads at once."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._prefix: str | None = None
        self._context = _tls(address) if address.secured else None
        self._connections = Connections(self._connection, self._reached, AT_ONCE)

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self.address.host)
        if parts.scheme == "unix":
            return SocketConnection(parts.path or parts.netloc)
        host, port = parts.hostname or "", parts.port
        if self._context is None:
            return HTTPConnection(host, port or PORTS["http"], timeout=CONNECT_SECONDS)
        return SecureConnection(host, port or PORTS["https"], self._context, host)

    @property
    def api(self) -> tuple[int, int]:
        """Return the API version both sides speak, agreed upon at the first call."""
        return _version(self._agreed().removeprefix("/v"))

    def _agreed(self) -> str:
        with self._lock:
            if self._prefix is None:
                found = json.loads(self._checked(self._send("GET", "/version")).body)
                newest, oldest = _version(found["ApiVersion"]), _version(found.get("MinAPIVersion", "1.0"))
                if newest < OLDEST_API or oldest > NEWEST_API:
                    spoken = f"{_written(OLDEST_API)} to {_written(NEWEST_API)}"
                    offered = f"{_written(oldest)} to {_written(newest)}"
                    raise UnreachableError(
                        f"the Docker daemon at {self.address.host} speaks API {offered}, this provider {spoken}: "
                        "use another Docker version"
                    )
                self._prefix = f"/v{_written(min(newest, NEWEST_API))}"
            return self._prefix

    def get(self, path: str, query: Query | None = None, seconds: float = CALL_SECONDS) -> Any:
        """GET a JSON document; raise DaemonError, UnreachableError or SlowError."""
        return self._json(self._send("GET", self._agreed() + path, query=query, seconds=seconds))

    def post(
        self,
        path: str,
        body: object = None,
        query: Query | None = None,
        seconds: float = CALL_SECONDS,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """POST a JSON document and return the answer's; raise as `get` does."""
        return self._json(
            self._send("POST", self._agreed() + path, query=query, seconds=seconds, body=body, headers=headers)
        )

    def put(self, path: str, content: bytes, query: Query | None = None, seconds: float = LONG_SECONDS) -> None:
        """PUT a tar archive; raise as `get` does."""
        headers = {"Content-Type": "application/x-tar"}
        self._checked(
            self._send("PUT", self._agreed() + path, query=query, seconds=seconds, content=content, headers=headers)
        )

    def delete(self, path: str, query: Query | None = None, seconds: float = CALL_SECONDS) -> Any:
        """DELETE an object; raise as `get` does."""
        return self._json(self._send("DELETE", self._agreed() + path, query=query, seconds=seconds))

    def raw(self, path: str, query: Query | None = None, seconds: float = CALL_SECONDS) -> bytes:
        """GET raw bytes; raise as `get` does."""
        return self._checked(self._send("GET", self._agreed() + path, query=query, seconds=seconds)).body

    @contextmanager
    def progress(
        self,
        path: str,
        query: Query | None = None,
        content: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = LONG_SECONDS,
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """POST and iterate over the JSON messages of the answer; the time is that between two messages."""
        request = Request("POST", _whole(self._agreed() + path, query), seconds, headers or {}, content)
        with self._said(path, seconds), self._connections.stream(request) as answer:
            if answer.status >= REFUSED:
                self._checked(answer.whole())
            yield (json.loads(line) for line in answer.lines() if line.strip())

    def _send(
        self,
        method: str,
        url: str,
        *,
        query: Query | None = None,
        seconds: float = CALL_SECONDS,
        body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        given = dict(headers or {})
        if body is not None:
            content = json.dumps(body, separators=(",", ":")).encode()
            given.setdefault("Content-Type", "application/json")
        with self._said(url, seconds):
            return self._connections.send(Request(method, _whole(url, query), seconds, given, content))

    @contextmanager
    def _said(self, path: str, seconds: float) -> Iterator[None]:
        """Name the call that did not end in time."""
        try:
            yield
        except _LateError as error:
            raise SlowError(
                f"the Docker daemon at {self.address.host} did not answer {path} within {seconds:g} s"
            ) from error

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise _LateError from error
        except (OSError, HTTPException) as error:
            raise UnreachableError(
                f"Cannot connect to the Docker daemon at {self.address.host}. Is the docker daemon running? ({error})"
            ) from error

    @staticmethod
    def _checked(answer: Answer) -> Answer:
        if answer.status < REFUSED:
            return answer
        try:
            message = str(json.loads(answer.body).get("message", ""))
        except ValueError:
            message = answer.text
        raise DaemonError(answer.status, message or f"status {answer.status}")

    def _json(self, answer: Answer) -> Any:
        checked = self._checked(answer)
        return json.loads(checked.body) if checked.body.strip() else None


class SocketConnection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=CONNECT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Make it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def quoted(name: str) -> str:
    """Return a name or id as a piece of a path."""
    return quote(name, safe="")


def from_environment(host: str = "", cert_path: str = "") -> Address:
    """Return the address configured, else the environment's, else the default socket."""
    chosen = host or os.environ.get("DOCKER_HOST", "") or DEFAULT_HOST
    certificates = cert_path or (
        os.environ.get("DOCKER_CERT_PATH", "") if os.environ.get("DOCKER_TLS_VERIFY") and not host else ""
    )
    return Address(chosen, certificates)


def _tls(address: Address) -> ssl.SSLContext:
    context = ssl.create_default_context()
    folder = Path(address.cert_path).expanduser()
    if address.ca_material:
        context.load_verify_locations(cadata=address.ca_material)
    elif address.cert_path:
        context.load_verify_locations(cafile=str(folder / "ca.pem"))
    if address.cert_material and address.key_material:
        _load_pair(context, address.cert_material, address.key_material)
    elif address.cert_path and (folder / "cert.pem").exists():
        context.load_cert_chain(str(folder / "cert.pem"), str(folder / "key.pem"))
    return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a certificate and key that are texts: Python's TLS reads them only from a file, so a memory one."""
    descriptor = os.memfd_create("docker-tls")
    try:
        os.write(descriptor, f"{certificate}\n{key}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _whole(path: str, query: Query | None) -> str:
    """Return a path with its query."""
    flat = {
        key: ("1" if value is True else "0" if value is False else str(value)) for key, value in (query or {}).items()
    }
    return f"{path}?{urlencode(flat)}" if flat else path


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _written(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
