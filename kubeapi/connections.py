"""Connections to one API server: kept open between calls, each used by one call at a time."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, RemoteDisconnected
from urllib.parse import SplitResult, unquote, urlsplit

from kubeapi.access import Access, KubeconfigError
from kubeapi.errors import SlowError, UnreachableError

CONNECT_SECONDS = 5.0
CONNECT_TRIES = 3
# More at once are no faster, and every connection costs both sides a handshake. Long answers are not counted.
AT_ONCE = 8
PIECE_BYTES = 65536


@dataclass(frozen=True)
class Request:
    """What is asked: a path with its query, and how long the server may be silent, in seconds."""

    method: str
    path: str
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """What the server answered, whatever the status."""

    status: int
    headers: HTTPMessage
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 in it is marked."""
        return self.body.decode(errors="replace")


class Stream:
    """An answer that comes bit by bit."""

    def __init__(self, answer: HTTPResponse, server: str) -> None:
        self.status = answer.status
        self._answer = answer
        self._server = server

    def lines(self) -> Iterator[str]:
        """Yield the lines as they come; raise UnreachableError, or SlowError when there was none for too long."""
        rest = b""
        while piece := self._piece():
            *lines, rest = (rest + piece).split(b"\n")
            yield from map(_line, lines)
        if rest:
            yield _line(rest)

    def whole(self) -> Answer:
        """Return all of it once it is there; raise as `lines` does."""
        with _reached(self._server):
            return Answer(self.status, self._answer.headers, self._answer.read())

    def _piece(self) -> bytes:
        with _reached(self._server):
            return self._answer.read1(PIECE_BYTES)


class Connections:
    """The connections of one user to one API server. Calls may come from many threads at once."""

    def __init__(self, access: Access, context: ssl.SSLContext | None) -> None:
        self._access = access
        self._context = context
        self._server = urlsplit(access.server)
        self._proxy = proxy_of(access)
        # Through a proxy a server without TLS is named in every request, one with TLS only once.
        plain = f"http://{self._server.netloc}" if self._proxy is not None and context is None else ""
        self._root = plain + self._server.path.rstrip("/")
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        self._closed = False

    def send(self, request: Request) -> Answer:
        """Return the server's answer, read to its end; raise UnreachableError, or SlowError for one that is late."""
        with self._room, _reached(self._access.server):
            connection, answer = self._begun(request)
            try:
                found = Answer(answer.status, answer.headers, answer.read())
            except BaseException:
                connection.close()
                raise
            self._keep(connection, answer)
            return found

    @contextlib.contextmanager
    def stream(self, request: Request) -> Iterator[Stream]:
        """Yield an answer that is read as it comes; raise as `send` does."""
        with _reached(self._access.server):
            connection, answer = self._begun(request)
        try:
            yield Stream(answer, self._access.server)
        finally:
            answer.close()
            connection.close()

    def close(self) -> None:
        """Close the connections, those in use once their call is over."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _begun(self, request: Request) -> tuple[HTTPConnection, HTTPResponse]:
        """Return an answer whose head has come, and the connection it comes on."""
        kept = self._kept()
        if kept is not None:
            try:
                return kept, self._asked(kept, request)
            except (RemoteDisconnected, ConnectionError):
                # The server may close what lies idle at the moment we use it; what changes nothing is asked again.
                if request.method != "GET":
                    raise
        new = self._connected()
        return new, self._asked(new, request)

    def _asked(self, connection: HTTPConnection, request: Request) -> HTTPResponse:
        try:
            connection.sock.settimeout(request.seconds)
            connection.request(request.method, self._root + request.path, request.body, dict(request.headers))
            return connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def _kept(self) -> HTTPConnection | None:
        """Return the connection that was used last and is still open; None where a new one is needed."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _has_ended(connection.sock):
                return connection
            connection.close()

    def _keep(self, connection: HTTPConnection, answer: HTTPResponse) -> None:
        with self._lock:
            if not self._closed and not answer.will_close:
                self._idle.append(connection)
                return
        connection.close()

    def _connected(self) -> HTTPConnection:
        """Return a new connection; one that is not made in time is tried again: a busy machine is slow to accept."""
        for tries_left in reversed(range(CONNECT_TRIES)):
            connection = self._made()
            try:
                connection.connect()
            except TimeoutError:
                connection.close()
                if not tries_left:
                    raise UnreachableError(
                        f"no answer from {self._access.server} within {CONNECT_SECONDS * CONNECT_TRIES:.0f} s"
                    ) from None
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise AssertionError("the last try returns or raises")

    def _made(self) -> HTTPConnection:
        host, port = _address(self._server)
        target = _address(self._proxy) if self._proxy is not None else (host, port)
        if self._context is None:
            return HTTPConnection(*target, timeout=CONNECT_SECONDS)
        made = _Secure(*target, self._context, self._access.server_name or host)
        if self._proxy is not None:
            made.set_tunnel(host, port, _identified(self._proxy))
        return made


class _Secure(HTTPConnection):
    """A connection with TLS, whose other end may be known by another name than the one it is reached by."""

    default_port = 443

    def __init__(self, host: str, port: int, context: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS)
        self._context = context
        self._name = name

    def connect(self) -> None:
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._name)


def proxy_of(access: Access) -> SplitResult | None:
    """Return the proxy an access goes through, None for none; raise KubeconfigError for a kind that is not known."""
    if not access.proxy:
        return None
    found = urlsplit(access.proxy)
    if found.scheme != "http" or not found.hostname:
        raise KubeconfigError(
            f"the cluster of context {access.context!r} has a `proxy-url` that begins with {found.scheme!r}: "
            "make it http://HOST:PORT, or leave it out"
        )
    return found


def _line(written: bytes) -> str:
    return written.decode(errors="replace").removesuffix("\r")


def _address(place: SplitResult) -> tuple[str, int]:
    return place.hostname or "", place.port or (443 if place.scheme == "https" else 80)


def _identified(proxy: SplitResult) -> dict[str, str]:
    """Return the headers by which a proxy knows its user."""
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _has_ended(connection: socket.socket) -> bool:
    """Say whether the other end has closed an idle connection: nothing else can be read from one."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


@contextlib.contextmanager
def _reached(server: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise SlowError(f"{server} did not answer in time") from None
    except (OSError, HTTPException) as error:
        raise UnreachableError(f"{server} cannot be reached: {error or type(error).__name__}") from None
