"""Connections to a server are kept, used by one call at a time, and found out when they have ended."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kubeapi import kubeconfig
from kubeapi.access import Access, KubeconfigError
from kubeapi.client import AT_ONCE, Client
from kubeapi.errors import SlowError, UnreachableError
from tests.kubernetes.cluster import running_cluster

Respond = Callable[["Handler"], None]


@dataclass
class Server:
    """A server of HTTP on this machine; `respond` says what it does with the next request."""

    http: ThreadingHTTPServer
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    callers: set[Any] = field(default_factory=set)
    respond: Respond | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.http.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Notes a request and answers `{}`, unless the test has something else in mind."""

    protocol_version = "HTTP/1.1"
    noted: Server

    def do_GET(self) -> None:
        """Answer."""
        self.noted.asked.append(self.path)
        self.noted.headers.append(dict(self.headers))
        self.noted.callers.add(self.client_address)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        respond, self.noted.respond = self.noted.respond, None
        (respond or said("{}"))(self)

    do_POST = do_GET  # noqa: N815  the base class's name

    def do_CONNECT(self) -> None:
        """Carry bytes to where the request says, as a proxy does."""
        self.noted.asked.append(f"CONNECT {self.path}")
        self.noted.headers.append(dict(self.headers))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            self.send_response(200)
            self.end_headers()
            carry(self.connection, far)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def carry(near: socket.socket, far: socket.socket) -> None:
    """Carry bytes both ways until one end closes."""
    while True:
        for one in select.select([near, far], [], [])[0]:
            data = one.recv(65536)
            if not data:
                return
            (far if one is near else near).sendall(data)


def said(text: str, status: int = 200, **headers: str) -> Respond:
    """Return what answers with a text."""

    def respond(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(text.encode())

    return respond


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that runs."""
    handler = type("OwnHandler", (Handler,), {})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    found = Server(http)
    handler.noted = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield found
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of it."""
    with contextlib.closing(Client(Access(server.address))) as made:
        yield made


def test_calls_one_after_the_other_share_a_connection(server: Server, client: Client) -> None:
    for number in range(5):
        assert client.get(f"/{number}", {"limit": 1, "watch": False}) == {}
    assert server.asked == [f"/{number}?limit=1&watch=false" for number in range(5)]
    assert len(server.callers) == 1


def test_many_calls_at_once_open_no_more_connections_than_are_of_use(server: Server, client: Client) -> None:
    with ThreadPoolExecutor(4 * AT_ONCE) as pool:
        assert list(pool.map(client.get, ["/"] * 100)) == [{}] * 100
    assert len(server.callers) <= AT_ONCE


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(server: Server, client: Client) -> None:
    client.get("/first")
    with client._connections._lock:  # type: ignore[union-attr]
        (idle,) = client._connections._idle  # type: ignore[union-attr]
    server.respond = closing_afterwards
    client.get("/last")
    assert select.select([idle.sock], [], [], 10)[0], "the server's end has come"
    assert client.post("/other", {}) == {}
    assert len(server.callers) == 2


def closing_afterwards(handler: Handler) -> None:
    """Answer as one who would go on, and close."""
    said("{}")(handler)
    handler.close_connection = True


def test_what_changes_nothing_is_asked_again_where_the_server_closed_just_then(server: Server, client: Client) -> None:
    client.get("/first")
    server.respond = hanging_up
    assert client.get("/second") == {}
    assert server.asked == ["/first", "/second", "/second"]
    server.respond = hanging_up
    with pytest.raises(UnreachableError, match="cannot be reached: Remote end closed connection"):
        client.post("/third", {})
    assert server.asked[3:] == ["/third"], "nobody knows whether it was done"


def hanging_up(handler: Handler) -> None:
    """Say nothing and close."""
    handler.close_connection = True


def test_an_answer_that_does_not_come_in_time_is_late(server: Server, client: Client) -> None:
    go_on = threading.Event()

    def respond(_: Handler) -> None:
        go_on.wait(30)

    server.respond = respond
    with pytest.raises(SlowError, match="did not answer in time"):
        client.get("/", seconds=0.2)
    go_on.set()
    assert client.get("/again") == {}


def test_lines_come_as_they_are_written_and_silence_is_told(server: Server, client: Client) -> None:
    go_on = threading.Event()

    def respond(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in ("one\ntw", "o\r\n\u2028\n"):
            handler.wfile.write(f"{len(part.encode()):x}\r\n{part}\r\n".encode())
        go_on.wait(30)
        handler.close_connection = True

    server.respond = respond
    with client.stream("/watch", {}, 0.5) as lines:
        assert [next(lines) for _ in range(3)] == ["one", "two", "\u2028"]
        with pytest.raises(SlowError):
            next(lines)
    server.respond = respond
    with client.stream("/watch", {}, 30) as lines:
        assert next(lines) == "one"
        go_on.set()
        with pytest.raises(UnreachableError, match="IncompleteRead"):
            list(lines)


def test_what_fails_beside_a_stream_is_not_taken_for_the_server(server: Server, client: Client) -> None:
    server.respond = said("one\n")

    def show() -> None:
        with client.stream("/log", {}, 5) as lines:
            assert next(lines) == "one"
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        show()
    assert client.get("/") == {}


def test_a_server_that_has_no_room_is_asked_again_when_it_says(server: Server, client: Client) -> None:
    server.respond = said("{}", 429, Retry_After="0")
    assert client.get("/busy") == {}
    assert server.asked == ["/busy", "/busy"]


def test_a_server_below_a_path_is_asked_there(server: Server) -> None:
    with contextlib.closing(Client(Access(f"{server.address}/k8s/clusters/one"))) as made:
        made.get("/api/v1")
    assert server.asked == ["/k8s/clusters/one/api/v1"]


def test_what_is_no_api_is_named(server: Server, client: Client) -> None:
    server.respond = said("<html>")
    with pytest.raises(UnreachableError, match=r"what answers at http://127\.0\.0\.1:\d+/api is no Kubernetes API"):
        client.get("/api")


def test_a_plain_server_is_reached_through_a_proxy(server: Server) -> None:
    access = Access("http://api.example", proxy=server.address.replace("//", "//me:a%20secret@"))
    with contextlib.closing(Client(access)) as made:
        made.get("/api/v1")
    assert server.asked == ["http://api.example/api/v1"]


def test_a_cluster_is_reached_through_a_proxy_that_does_not_see_what_is_said(server: Server) -> None:
    whole = kubeconfig.load(str(running_cluster().kubeconfig))
    known = {name: getattr(whole, name) for name in ("server", "authority", "certificate", "key")}
    proxied = Access(**known, proxy=server.address.replace("//", "//me:a%20secret@"))
    with contextlib.closing(Client(proxied)) as made:
        assert made.get("/version")["major"] == "1"
        assert made.get("/version")["minor"]
    assert server.asked == [f"CONNECT {whole.server.removeprefix('https://')}"], "one connection for both"
    assert server.headers[0]["Proxy-Authorization"] == "Basic bWU6YSBzZWNyZXQ="


def test_a_proxy_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KubeconfigError, match="make it http://HOST:PORT"):
        Client(Access("https://api.example", context="here", proxy="socks5://127.0.0.1:1")).get("/")


def test_no_request_shows_its_credentials(server: Server) -> None:
    access = Access(server.address, token="a-token-of-this-test")
    with contextlib.closing(Client(access)) as made:
        request, _ = made._request("POST", "/", None, {"data": "a-secret"}, "application/json", 1, "*/*")
    assert "secret" not in repr(request) + json.dumps(str(request))
    assert "a-token" not in repr(request)
