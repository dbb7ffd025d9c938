"""A small client for the Docker daemon's HTTP interface: what setup asks needs no Docker command line."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from setup.problem import Problem

DEFAULT_SOCKET = "/var/run/docker.sock"
ANSWER_SECONDS = 20.0
CHUNK = 1 << 20


class DaemonError(Exception):
    """The daemon refused a request; carries the HTTP status and its words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(status, words)
        self.status = status
        self.words = words

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Endpoint:
    """Where the daemon listens: a Unix socket, or host and port, with TLS when certificates are named."""

    socket: str = ""
    host: str = ""
    port: int = 0
    certificates: str = ""

    def __str__(self) -> str:
        return f"unix://{self.socket}" if self.socket else f"tcp://{self.host}:{self.port}"


def endpoint_from(environment: Mapping[str, str]) -> Endpoint:
    """Return the endpoint that Docker's own variables name; the user's rootless socket counts where it is the only one.

    Raise Problem for an address that is neither `unix://` nor `tcp://`.
    """
    address = environment.get("DOCKER_HOST", "")
    if not address:
        rootless = Path(environment.get("XDG_RUNTIME_DIR", "/nonexistent")) / "docker.sock"
        only_rootless = rootless.is_socket() and not Path(DEFAULT_SOCKET).exists()
        return Endpoint(socket=str(rootless) if only_rootless else DEFAULT_SOCKET)
    parts = urlsplit(address)
    if parts.scheme == "unix" and parts.path:
        return Endpoint(socket=parts.path)
    if parts.scheme == "tcp" and parts.hostname:
        secured = bool(environment.get("DOCKER_TLS_VERIFY"))
        folder = environment.get("DOCKER_CERT_PATH") or str(Path(environment.get("HOME", "~")) / ".docker")
        return Endpoint(
            host=parts.hostname, port=parts.port or (2376 if secured else 2375), certificates=folder if secured else ""
        )
    raise Problem(
        f"DOCKER_HOST is {address!r}; only unix:// and tcp:// addresses can be used here.",
        "unset DOCKER_HOST, or forward the remote socket first: "
        "ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST and DOCKER_HOST=unix:///tmp/docker.sock",
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class _Unread(http.client.HTTPResponse):
    """An answer that is read no further than its head: what comes after that is no HTTP."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = sock.makefile("rb", buffering=0)  # type: ignore[assignment]


@dataclass(frozen=True)
class Daemon:
    """The Docker daemon behind an endpoint; every call raises OSError when it cannot be reached."""

    endpoint: Endpoint

    def get(self, path: str, **query: str) -> Any:
        """Return the decoded answer to a GET; raise DaemonError when the daemon refuses."""
        return self._ask("GET", path, query)

    def post(self, path: str, body: object = None, timeout: float = ANSWER_SECONDS, **query: str) -> Any:
        """Return the decoded answer to a POST with a JSON body; raise DaemonError when the daemon refuses."""
        return self._ask("POST", path, query, body, timeout)

    def delete(self, path: str, timeout: float = ANSWER_SECONDS, **query: str) -> None:
        """Remove an object; one that is gone already is fine. Raise DaemonError when the daemon refuses."""
        try:
            self._ask("DELETE", path, query, None, timeout)
        except DaemonError as error:
            if error.status != http.client.NOT_FOUND:
                raise

    def exists(self, path: str) -> bool:
        """Return whether the daemon knows the object."""
        try:
            self.get(path)
        except DaemonError as error:
            if error.status == http.client.NOT_FOUND:
                return False
            raise
        return True

    def stream(
        self, path: str, *, body: IO[bytes] | None = None, timeout: float = ANSWER_SECONDS, **query: str
    ) -> Iterator[dict[str, Any]]:
        """Yield the JSON lines of a POST that reports progress; `timeout` is the longest silence, in seconds.

        Raise DaemonError when it refuses or a line carries an error.
        """
        with self._connection(timeout) as connection:
            headers = {"Content-Type": "application/x-tar"} if body else {}
            chunks = iter(lambda: body.read(CHUNK), b"") if body else None
            connection.request("POST", _address(path, query), body=chunks, headers=headers, encode_chunked=bool(body))
            answer = connection.getresponse()
            if answer.status >= http.client.BAD_REQUEST:
                raise DaemonError(answer.status, _words(answer.read()))
            for line in answer:
                if not line.strip():
                    continue
                told = json.loads(line)
                if "error" in told:
                    raise DaemonError(answer.status, str(told["error"]))
                yield told

    @contextlib.contextmanager
    def reading(self, path: str, timeout: float | None, query: Mapping[str, str]) -> Iterator[IO[bytes]]:
        """Yield the raw body of a GET; without a timeout it may be silent for ever. Raise DaemonError when refused."""
        with self._connection(timeout) as connection:
            connection.request("GET", _address(path, query))
            answer = connection.getresponse()
            if answer.status >= http.client.BAD_REQUEST:
                raise DaemonError(answer.status, _words(answer.read()))
            yield answer

    @contextlib.contextmanager
    def talking(self, path: str, body: object, timeout: float = ANSWER_SECONDS) -> Iterator[socket.socket]:
        """Yield the connection that a POST has made one of bytes both ways; raise DaemonError when it is refused."""
        with self._connection(timeout) as connection:
            connection.response_class = _Unread
            headers = {"Content-Type": "application/json", "Connection": "Upgrade", "Upgrade": "tcp"}
            connection.request("POST", path, body=json.dumps(body), headers=headers)
            answer = connection.getresponse()
            if answer.status >= http.client.BAD_REQUEST:
                raise DaemonError(answer.status, _words(answer.read()))
            yield connection.sock

    def labelled(self, kind: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the `containers` (stopped ones too), `networks` or `volumes` that carry all the labels."""
        filters = json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})
        if kind == "containers":
            found = self.get("/containers/json", all="1", filters=filters)
        else:
            found = self.get(f"/{kind}", filters=filters)
        rows = found["Volumes"] if kind == "volumes" else found
        return list(rows or [])

    def _ask(
        self, method: str, path: str, query: Mapping[str, str], body: object = None, timeout: float = ANSWER_SECONDS
    ) -> Any:
        with self._connection(timeout) as connection:
            content = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"} if content is not None else {}
            connection.request(method, _address(path, query), body=content, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= http.client.BAD_REQUEST:
                raise DaemonError(answer.status, _words(text))
            is_json = answer.headers.get_content_type() == "application/json"
            return json.loads(text) if is_json and text else text.decode(errors="replace")

    @contextlib.contextmanager
    def _connection(self, timeout: float | None) -> Iterator[http.client.HTTPConnection]:
        connection: http.client.HTTPConnection
        if self.endpoint.socket:
            connection = _UnixConnection(self.endpoint.socket, timeout)
        elif self.endpoint.certificates:
            folder = Path(self.endpoint.certificates)
            context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            context.load_cert_chain(str(folder / "cert.pem"), str(folder / "key.pem"))
            connection = http.client.HTTPSConnection(
                self.endpoint.host, self.endpoint.port, timeout=timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(self.endpoint.host, self.endpoint.port, timeout=timeout)
        try:
            yield connection
        except http.client.HTTPException as error:
            raise ConnectionError(f"{self.endpoint}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()


def name_in_path(name: str) -> str:
    """Return an object's name as it stands in a path."""
    return quote(name, safe="/:@")


def connectable(endpoint: Endpoint) -> str:
    """Return `running`, `forbidden` (no permission on the socket) or `away`, without waiting long."""
    try:
        Daemon(endpoint).get("/_ping")
    except PermissionError:
        return "forbidden"
    except (OSError, DaemonError):
        # A socket in a folder that may not be entered looks absent to everything but the connection.
        folder = Path(endpoint.socket).parent if endpoint.socket else Path("/")
        return "forbidden" if folder.exists() and not os.access(folder, os.X_OK) else "away"
    return "running"


def _address(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _words(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace").strip()
