"""Connections to one server of HTTP: kept open between calls, each used by one call at a time."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, RemoteDisconnected
from typing import Any

CONNECT_SECONDS = 5.0
CONNECT_TRIES = 3
PIECE_BYTES = 65536
SWITCHING = 101

Reached = Callable[[], AbstractContextManager[None]]


class NotConnectedError(TimeoutError):
    """The server took no connection in the time of all tries."""


@dataclass(frozen=True)
class Request:
    """What is asked: a path with its query, and how long the server may be silent, in seconds."""

    method: str
    path: str
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | Iterable[bytes] | None = field(default=None, repr=False)


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


class _Unread(HTTPResponse):
    """An answer that is read no further than its head: what comes after that is no HTTP."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = sock.makefile("rb", buffering=0)  # type: ignore[assignment]


class Stream:
    """An answer that comes bit by bit."""

    def __init__(self, answer: HTTPResponse, reached: Reached) -> None:
        self.status = answer.status
        self._answer = answer
        self._reached = reached

    def lines(self) -> Iterator[str]:
        """Yield the lines as they come; silence for too long is a TimeoutError, which `reached` makes its own of."""
        rest = b""
        while piece := self._piece():
            *lines, rest = (rest + piece).split(b"\n")
            yield from map(_line, lines)
        if rest:
            yield _line(rest)

    def whole(self) -> Answer:
        """Return all of it once it is there; raise as `lines` does."""
        with self._reached():
            return Answer(self.status, self._answer.headers, self._answer.read())

    def _piece(self) -> bytes:
        with self._reached():
            return self._answer.read1(PIECE_BYTES)


class Connections:
    """The connections of one user to one server. Calls may come from many threads at once.

    `make` returns a connection that is not made yet, and `reached` is entered around whatever may fail: it turns a
    TimeoutError, an OSError and an HTTPException into errors of its own. Of the calls that are read to their end,
    `at_once` go on at a time: more are no faster, and each connection costs both sides a handshake.
    """

    def __init__(self, make: Callable[[], HTTPConnection], reached: Reached, at_once: int) -> None:
        self._make = make
        self._reached = reached
        self._room = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        self._closed = False

    def send(self, request: Request) -> Answer:
        """Return the server's answer, read to its end."""
        with self._room, self._reached():
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
        """Yield an answer that is read as it comes."""
        with self._reached():
            connection, answer = self._begun(request)
        try:
            yield Stream(answer, self._reached)
        finally:
            answer.close()
            connection.close()

    @contextlib.contextmanager
    def upgraded(self, request: Request) -> Iterator[tuple[socket.socket | None, Answer]]:
        """Yield a connection that is no HTTP any more, and what the server said; no connection where it refused."""
        with self._reached():
            connection = self._connected()
            connection.response_class = _Unread
            answer = self._asked(connection, request)
            refused = answer.status != SWITCHING
            head = Answer(answer.status, answer.headers, answer.read() if refused else b"")
        try:
            yield None if refused else connection.sock, head
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
            with contextlib.suppress(BrokenPipeError):  # a server that refuses need not have read all: it says why
                connection.request(request.method, request.path, request.body, dict(request.headers))
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
        for _ in range(CONNECT_TRIES):
            connection = self._make()
            try:
                connection.connect()
            except TimeoutError:
                connection.close()
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise NotConnectedError


def _line(written: bytes) -> str:
    return written.decode(errors="replace").removesuffix("\r")


def _has_ended(connection: socket.socket) -> bool:
    """Say whether the other end has closed an idle connection: nothing else can be read from one."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
