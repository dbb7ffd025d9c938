"""Requests to a Kubernetes API server, each with a limit of time."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubeapi.access import Access, KubeconfigError
from kubeapi.connections import CONNECT_SECONDS, CONNECT_TRIES, Answer, Connections, NotConnectedError, Request
from kubeapi.credentials import Credential, Credentials
from kubeapi.errors import BAD_REQUEST, TOO_MANY, UNAUTHORIZED, ApiError, SlowError, UnreachableError, refused
from kubeapi.route import Route

CALL_SECONDS = 30.0
AT_ONCE = 8
AGENT = "kubeapi"
"""Whom a cluster knows as the manager of fields that are changed in nobody's name."""
BUSY_TRIES = 5
APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

Query = Mapping[str, str | int | bool]
Object = dict[str, Any]


class Client:
    """One cluster, asked by one user. Its calls may be made from many threads at once."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._credentials = Credentials(access)
        self._lock = threading.Lock()
        self._connections: Connections | None = None
        self._root = ""
        self._shown: tuple[str, str] = ("", "")

    def get(self, path: str, query: Query | None = None, seconds: float = CALL_SECONDS, accept: str = "") -> Any:
        """Return a JSON document; raise ApiError, UnreachableError or KubeconfigError."""
        return self._json("GET", path, query, None, "", seconds, accept)

    def text(self, path: str, query: Query | None = None, seconds: float = CALL_SECONDS) -> str:
        """Return a document that is no JSON, such as a log; raise as `get` does."""
        return self._asked("GET", path, query, None, "", seconds, "*/*").text

    def post(self, path: str, body: object, query: Query | None = None, seconds: float = CALL_SECONDS) -> Any:
        """Create an object; raise as `get` does."""
        return self._json("POST", path, query, body, "application/json", seconds)

    def put(self, path: str, body: object, query: Query | None = None, seconds: float = CALL_SECONDS) -> Any:
        """Put an object in another's place; raise as `get` does."""
        return self._json("PUT", path, query, body, "application/json", seconds)

    def patch(
        self, path: str, body: object, kind: str = APPLY, query: Query | None = None, seconds: float = CALL_SECONDS
    ) -> Any:
        """Change an object by a patch of the content type `kind`; raise as `get` does."""
        return self._json("PATCH", path, query, body, kind, seconds)

    def delete(self, path: str, body: object = None, query: Query | None = None, seconds: float = CALL_SECONDS) -> Any:
        """Delete an object; raise as `get` does."""
        return self._json("DELETE", path, query, body, "application/json", seconds)

    @contextlib.contextmanager
    def stream(self, path: str, query: Query, silence: float) -> Iterator[Iterator[str]]:
        """Yield the lines of a long answer; `silence` is the longest time without any, in seconds. Raise as `get`."""
        request, connections = self._request("GET", path, query, None, "", silence, "application/json")
        with connections.stream(request) as answer:
            if answer.status >= BAD_REQUEST:
                raise _error(answer.whole())
            yield answer.lines()

    @contextlib.contextmanager
    def upgraded(
        self, path: str, headers: Mapping[str, str], seconds: float
    ) -> Iterator[tuple[socket.socket, HTTPMessage]]:
        """Yield a connection that is no HTTP any more, and what the server said to that; raise as `get` does."""
        request, connections = self._request("GET", path, None, None, "", seconds, "*/*")
        request = replace(request, headers={**request.headers, **headers})
        with connections.upgraded(request) as (connection, answer):
            if connection is None:
                raise _error(answer)
            yield connection, answer.headers

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._connections is not None:
                self._connections.close()
                self._connections = None

    def _json(
        self, method: str, path: str, query: Query | None, body: object, kind: str, seconds: float, accept: str = ""
    ) -> Any:
        answer = self._asked(method, path, query, body, kind, seconds, accept or "application/json")
        try:
            return json.loads(answer.body)
        except ValueError:
            raise UnreachableError(f"what answers at {self.access.server}{path} is no Kubernetes API") from None

    def _asked(
        self, method: str, path: str, query: Query | None, body: object, kind: str, seconds: float, accept: str
    ) -> Answer:
        renewed = False
        busy = 0
        while True:
            request, connections = self._request(method, path, query, body, kind, seconds, accept)
            answer = connections.send(request)
            if answer.status < BAD_REQUEST:
                return answer
            if answer.status == UNAUTHORIZED and self._credentials.renewable and not renewed:
                renewed = True
                self._credentials.current(refused=True)
                continue
            # The server says itself when it has room again: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
            if answer.status == TOO_MANY and busy < BUSY_TRIES and "Retry-After" in answer.headers:
                busy += 1
                time.sleep(min(float(answer.headers["Retry-After"] or 1), 5.0))
                continue
            raise _error(answer)

    def _request(
        self, method: str, path: str, query: Query | None, body: object, kind: str, seconds: float, accept: str
    ) -> tuple[Request, Connections]:
        credential = self._credentials.current()
        headers = {"Accept": accept, "User-Agent": AGENT}
        if credential.token:
            headers["Authorization"] = f"Bearer {credential.token}"
        elif self.access.username:
            pair = f"{self.access.username}:{self.access.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        content = None
        if body is not None:
            headers["Content-Type"] = kind
            content = json.dumps(body, separators=(",", ":")).encode()
        asked = {key: str(value).lower() if isinstance(value, bool) else value for key, value in (query or {}).items()}
        connections, root = self._connected(credential)
        whole = f"{root}{path}?{urlencode(asked)}" if asked else f"{root}{path}"
        return Request(method, whole, seconds, headers, content), connections

    def _connected(self, credential: Credential) -> tuple[Connections, str]:
        """Return the connections for a credential, and what paths begin with; another certificate needs others."""
        with self._lock:
            shown = (credential.certificate, credential.key)
            if self._connections is None or shown != self._shown:
                if self._connections is not None:
                    self._connections.close()
                self._shown = shown
                secure = self.access.server.startswith("https")
                route = Route(self.access, context_of(self.access, credential) if secure else None)
                self._connections, self._root = Connections(route.connection, self._reached, AT_ONCE), route.root
            return self._connections, self._root

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        server = self.access.server
        try:
            yield
        except NotConnectedError:
            raise UnreachableError(f"no answer from {server} within {CONNECT_SECONDS * CONNECT_TRIES:.0f} s") from None
        except TimeoutError:
            raise SlowError(f"{server} did not answer in time") from None
        except (OSError, HTTPException) as error:
            raise UnreachableError(f"{server} cannot be reached: {error or type(error).__name__}") from None


def context_of(access: Access, credential: Credential) -> ssl.SSLContext:
    """Return the TLS settings of an access: the cluster's own authority, and our certificate.

    Raises KubeconfigError for material that OpenSSL refuses.
    """
    try:
        context = ssl.create_default_context(cadata=access.authority or None)
    except ssl.SSLError:
        raise KubeconfigError(
            f"the certificate authority of context {access.context!r} is no PEM certificate"
        ) from None
    # Authorities of clusters often lack the key usage that newer Pythons ask for by default (RFC 5280, 4.2.1.3).
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if access.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if credential.certificate:
        # Python takes a client's certificate from files only: one in memory's file system, gone once it is read.
        with tempfile.TemporaryDirectory(dir=_memory(), prefix="kubeapi-") as folder:
            pair = Path(folder) / "pair.pem"
            pair.touch(mode=0o600)
            pair.write_text(f"{credential.certificate}\n{credential.key}")
            try:
                context.load_cert_chain(pair)
            except ssl.SSLError:
                raise KubeconfigError(
                    f"the client certificate of context {access.context!r} and its key are no PEM pair"
                ) from None
    return context


def _memory() -> str | None:
    shared = Path("/dev/shm")  # noqa: S108  a folder in memory, where the private key never meets a disk
    return str(shared) if shared.is_dir() else None


def _error(answer: Answer) -> ApiError:
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    return refused(answer.status, body, answer.text)
