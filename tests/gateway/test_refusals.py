"""What Nginx itself refuses is answered in the gateway's words, and never by a page of Nginx's own."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.gateway.stage import HOST, Container, Gateway, eventually

LINE = b"Host: site.test\r\nConnection: close\r\n"
ENOUGH = 7
SENT = 9 * 1024 * 1024


def request(target: str = "/", *, method: str = "GET", more: str = "", accept: str = "*/*") -> bytes:
    """Return a request for the site."""
    return f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nAccept: {accept}\r\n{more}\r\n".encode()


REFUSED = [
    (request("/%00"), 400),
    (request("/.gateway/unavailable"), 404),
    (request("/.gateway/refused"), 404),
    (request(method="TRACE"), 405),
    (request(method="POST", more="Content-Length: 99999999999\r\n"), 413),
    (request("/" + "x" * 17000), 414),
    (request().replace(HOST.encode(), b"evil.test"), 421),
    (request(more=f"Cookie: {'x' * 17000}\r\n"), 431),
    (request(more="".join(f"X-{number}: {'x' * 16000}\r\n" for number in range(5))), 431),
    (request(method="POST", more="Transfer-Encoding: gzip\r\n"), 501),
    (request().replace(b"HTTP/1.1", b"HTTP/3.0"), 505),
]


@pytest.mark.parametrize(("sent", "status"), REFUSED)
def test_a_refusal_is_the_gateway_s_own_with_every_security_header(gateway: Gateway, sent: bytes, status: int) -> None:
    head, _, body = gateway.raw(sent, timeout=1).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert first.split()[1] == str(status)
    assert headers["server"] == "nginx"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert body.startswith(str(status).encode())
    assert b"nginx" not in body
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert len(headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(method="TRACE", accept="application/json"), 405),
        (request(more=f"Cookie: {'x' * 17000}\r\n").replace(b" / ", b" /api/x "), 431),
    ],
)
def test_a_refusal_is_a_problem_document_for_programs(gateway: Gateway, sent: bytes, status: int) -> None:
    head, _, body = gateway.raw(sent, timeout=1).partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status


@pytest.mark.parametrize("target", ["/x/../healthz", "//healthz", "/%68ealthz", "/files/%2e%2e/readyz?a=b"])
def test_another_host_reaches_nothing_but_the_probes_however_they_are_spelt(gateway: Gateway, target: str) -> None:
    answer = gateway.raw(request(target).replace(HOST.encode(), b"evil.test"), timeout=1)
    assert answer.startswith(b"HTTP/1.1 200 ")
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert found.get("status") == "ready" or found["target"].partition("?")[0] in ("/healthz", "/readyz")


@contextmanager
def stalled_uploads(gateway: Gateway) -> Iterator[None]:
    """Hold more of unfinished uploads than the gateway's temporary file system takes."""
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {SENT + 1}\r\n\r\n".encode()
    with ExitStack() as held:
        for _ in range(ENOUGH + 1):
            connection = held.enter_context(socket.create_connection((gateway.target, 8080), 20))
            try:
                connection.sendall(head + b"x" * SENT)
            except OSError:
                continue
        yield


def test_clients_that_fill_the_temporary_files_hold_up_neither_readers_nor_switches(
    own_gateway: Gateway, peer_a: Container
) -> None:
    peer = f"{peer_a.name}:8000"
    assert own_gateway.use("a", peer).status == 200
    with stalled_uploads(own_gateway):
        eventually(lambda: any("No space left" in entry["event"] for entry in own_gateway.log()))
        assert own_gateway.ask("/x").status == 200
        assert own_gateway.use("b", peer).status == 200
        assert own_gateway.apply(page="<title>Another page</title>").status == 200
        assert own_gateway.apply({"site_url": "http://site.test:8000", "retry_after": 7}).status == 200
        assert own_gateway.status()["release"] == "b"
