"""A small client of the Docker daemon's REST API, over a Unix socket or TCP with or without TLS."""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

DEFAULT_HOST = "unix:///var/run/docker.sock"
OLDEST_API = (1, 41)
NEWEST_API = (1, 51)
CONNECT_SECONDS = 5.0
CALL_SECONDS = 60.0
LONG_SECONDS = 1200.0
SCHEMES = ("unix", "tcp", "http", "https")

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
        parts = urlsplit(address.host)
        timeout = httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=8)
        if parts.scheme == "unix":
            transport = httpx.HTTPTransport(uds=parts.path or parts.netloc, limits=limits)
            self._http = httpx.Client(transport=transport, base_url="http://docker", timeout=timeout, trust_env=False)
            return
        verify: ssl.SSLContext | bool = _tls(address) if address.secured else False
        scheme = "https" if address.secured else "http"
        self._http = httpx.Client(
            base_url=f"{scheme}://{parts.netloc}", timeout=timeout, limits=limits, verify=verify, trust_env=False
        )

    @property
    def api(self) -> tuple[int, int]:
        """Return the API version both sides speak, agreed upon at the first call."""
        return _version(self._agreed().removeprefix("/v"))

    def _agreed(self) -> str:
        with self._lock:
            if self._prefix is None:
                found = self._checked(self._send("GET", "/version")).json()
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
        return self._checked(self._send("GET", self._agreed() + path, query=query, seconds=seconds)).content

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
        url = self._agreed() + path
        try:
            with self._http.stream(
                "POST", url, params=_flat(query), content=content, headers=headers, timeout=_timeout(seconds)
            ) as response:
                if response.status_code >= 400:
                    response.read()
                    self._checked(response)
                yield (json.loads(line) for line in response.iter_lines() if line.strip())
        except httpx.TimeoutException as error:
            raise self._slow(path, seconds) from error
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

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
    ) -> httpx.Response:
        data: dict[str, Any] = (
            {"content": content} if content is not None else {"json": body} if body is not None else {}
        )
        try:
            return self._http.request(
                method, url, params=_flat(query), timeout=_timeout(seconds), headers=headers, **data
            )
        except httpx.TimeoutException as error:
            raise self._slow(url, seconds) from error
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _slow(self, path: str, seconds: float) -> SlowError:
        return SlowError(f"the Docker daemon at {self.address.host} did not answer {path} within {seconds:g} s")

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"Cannot connect to the Docker daemon at {self.address.host}. Is the docker daemon running? ({error})"
        )

    @staticmethod
    def _checked(response: httpx.Response) -> httpx.Response:
        if response.status_code < 400:
            return response
        try:
            message = str(response.json().get("message", ""))
        except ValueError:
            message = response.text
        raise DaemonError(response.status_code, message or f"status {response.status_code}")

    def _json(self, response: httpx.Response) -> Any:
        checked = self._checked(response)
        return checked.json() if checked.content.strip() else None


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


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=CONNECT_SECONDS)


def _flat(query: Query | None) -> dict[str, str]:
    return {
        key: ("1" if value is True else "0" if value is False else str(value)) for key, value in (query or {}).items()
    }


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _written(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
