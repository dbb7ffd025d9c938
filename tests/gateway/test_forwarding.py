"""What reaches the app, and what does not: hosts, forwarded headers, limits, smuggling (M21)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.gateway.stage import HOST, Container, Gateway, Stage, eventually

SPOOFED = {
    "X-Forwarded-For": "203.0.113.9, 198.51.100.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Port": "444",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Ssl": "on",
    "X-Real-IP": "203.0.113.9",
    "X-Request-ID": "chosen-by-the-client",
    "X-Original-URL": "/admin",
    "X-Rewrite-URL": "/admin",
    "Forwarded": "for=203.0.113.9;host=evil.test",
    "Proxy": "http://evil.test",
    "TE": "trailers",
    "Proxy-Connection": "keep-alive",
}


@pytest.fixture(scope="module")
def behind_proxy(stage: Stage, peer_a: Container) -> Iterator[Gateway]:
    """A gateway of an HTTPS site, with this client as its TLS proxy."""
    made = stage.gateway(
        settings={"site_url": "https://site.test", "trusted_proxies": ["172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"]}
    )
    assert made.use("a", f"{peer_a.name}:8000").status == 200
    yield made
    made.remove()


def test_a_stranger_s_forwarded_headers_are_overwritten(gateway: Gateway) -> None:
    reply = gateway.ask("/x?a=b", headers=SPOOFED)
    seen = reply.seen()
    assert seen["host"] == "site.test:8000"
    assert seen["x-forwarded-host"] == "site.test:8000"
    assert seen["x-forwarded-port"] == "8000"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-for"] == seen["x-real-ip"]
    assert not seen["x-forwarded-for"].startswith(("203", "198"))
    assert seen["x-request-id"] == reply.header("X-Request-ID") != "chosen-by-the-client"
    assert not {
        "x-forwarded-prefix", "x-forwarded-ssl", "x-original-url", "x-rewrite-url", "forwarded", "proxy", "te",
        "proxy-connection", "connection", "upgrade",
    } & set(seen)  # fmt: skip
    assert reply.document()["target"] == "/x?a=b"


def test_a_trusted_proxy_s_client_scheme_and_request_id_are_kept(behind_proxy: Gateway) -> None:
    headers = {**SPOOFED, "X-Forwarded-For": "198.51.100.7, 203.0.113.9, 172.16.5.5"}
    reply = behind_proxy.ask("/", headers=headers)
    seen = reply.seen()
    assert seen["x-forwarded-for"] == "203.0.113.9", "the last address that is no trusted proxy's"
    assert seen["x-forwarded-proto"] == "https"
    assert seen["x-forwarded-host"] == seen["host"] == "site.test"
    assert seen["x-forwarded-port"] == "443"
    assert seen["x-request-id"] == reply.header("X-Request-ID") == "chosen-by-the-client"
    assert behind_proxy.ask("/", headers={"X-Forwarded-Proto": "http"}).seen()["x-forwarded-proto"] == "http"
    assert behind_proxy.ask("/").seen()["x-forwarded-proto"] == "https", "without a word, the site's own scheme"


@pytest.mark.parametrize("name", ["short", "x" * 65, 'quote"quote', "<script>alert(1)</script>", "a b c d e f g"])
def test_a_request_id_that_is_none_is_replaced_even_from_a_trusted_proxy(behind_proxy: Gateway, name: str) -> None:
    assert behind_proxy.ask("/", headers={"X-Request-ID": name}).header("X-Request-ID") != name


def test_hsts_is_sent_once_and_for_an_https_site_alone(behind_proxy: Gateway, gateway: Gateway) -> None:
    assert behind_proxy.ask("/").header("Strict-Transport-Security") == "max-age=31536000"
    assert behind_proxy.ask("/reset").header("Strict-Transport-Security") == "max-age=31536000"
    assert behind_proxy.ask("/", host="evil.test").header("Strict-Transport-Security") == "max-age=31536000"
    assert gateway.ask("/reset").header("Strict-Transport-Security") is None


@pytest.mark.parametrize("host", ["evil.test", "site.test.evil.test", "127.0.0.1:8000", "xsite.test", "_"])
def test_another_host_is_refused_with_a_few_words(gateway: Gateway, host: str) -> None:
    for path in ("/", "/auth/login/saml/acs", "/api/x"):
        reply = gateway.ask(path, host=host)
        assert reply.status == 421
        assert len(reply.body) < 200
    assert gateway.ask("/", "POST", {}, b"x" * 1000, host=host).status == 421
    for path in ("/healthz", "/readyz", "/gateway/healthz"):
        assert gateway.ask(path, host=host).status == 200
    if host != "_":
        assert gateway.ask("/healthz", host=host).seen()["host"] == "site.test:8000"


@pytest.mark.parametrize("host", ["site.test", "SITE.test", "site.test:8000", "site.test:1", "site.test."])
def test_the_site_s_own_host_is_served_however_it_is_spelt(gateway: Gateway, host: str) -> None:
    assert gateway.ask("/", host=host).status == 200


def test_the_host_in_an_absolute_request_line_counts(gateway: Gateway) -> None:
    answer = gateway.raw(b"GET http://evil.test/ HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 421")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (
            b"POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: +3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: site.test\r\nHost: evil.test\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : site.test\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: site.test\r\n\r\n", 400),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: site.test\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: site.test\r\n\r\n", 405),
        (b"CONNECT site.test:443 HTTP/1.1\r\nHost: site.test\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: site.test\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_a_request_that_is_two_things_at_once_is_refused(gateway: Gateway, lines: bytes, status: int) -> None:
    answer = gateway.raw(lines, timeout=1)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert answer.count(b"HTTP/1.1") == 1
    assert b"<html" not in answer


def test_limits_of_size_are_held(gateway: Gateway) -> None:
    assert gateway.ask("/", "POST", body=b"x" * (10 * 1024 * 1024)).document()["length"] == 10 * 1024 * 1024
    head = f"POST %s HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: %d\r\n\r\n"
    for path, size in (("/", 10 * 1024 * 1024 + 1), ("/auth/login/saml/acs", 512 * 1024 + 1)):
        assert gateway.raw((head % (path, size)).encode(), timeout=1).startswith(b"HTTP/1.1 413 ")
    assert gateway.ask("/auth/login/saml/acs", "POST", body=b"x" * (512 * 1024)).status == 200
    assert gateway.ask("/?" + "x" * 15000).status == 200
    assert gateway.ask("/?" + "x" * 17000).status == 414
    assert gateway.ask("/", headers={"Cookie": "x" * 15000}).status == 200
    assert gateway.ask("/", headers={"Cookie": "x" * 17000}).status == 431
    assert gateway.ask("/big?size=3000000").body == b"x" * 3000000


def test_a_client_that_sends_a_letter_at_a_time_is_cut_off(gateway: Gateway) -> None:
    began = time.monotonic()
    with socket.create_connection((gateway.target, 8080), 20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: site.test\r\n")
        connection.settimeout(0.5)
        for _ in range(60):
            try:
                connection.sendall(b"X")
                if connection.recv(100) is not None:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert 8 < time.monotonic() - began < 14


def test_a_websocket_is_passed_through_and_other_upgrades_are_not(gateway: Gateway) -> None:
    lines = "GET /websocket HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: {}\r\n\r\n"
    with socket.create_connection((gateway.target, 8080), 5) as connection:
        connection.sendall(lines.format("websocket").encode())
        found = b""
        while b"hello" not in found:
            found += connection.recv(4096)
        assert found.startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"shout")
        assert connection.recv(100) == b"SHOUT"
    assert gateway.raw(lines.format("h2c").encode(), timeout=1).startswith(b"HTTP/1.1 200 ")


def test_the_app_s_internal_redirects_are_not_obeyed(gateway: Gateway) -> None:
    reply = gateway.ask("/accel")
    assert (reply.status, reply.body, reply.header("X-Accel-Redirect")) == (200, b"{}", None)


@pytest.mark.parametrize("path", ["/.gateway/unavailable", "/.gateway/refused", "/gateway/", "/gateway/status"])
def test_the_gateway_s_own_paths_are_not_public(gateway: Gateway, path: str) -> None:
    assert gateway.ask(path).status == 404


def test_every_line_of_the_log_is_json_whatever_was_asked(gateway: Gateway) -> None:
    gateway.raw(b'GET /\xff\xfe"\\%22 HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n', timeout=1)
    gateway.raw(b"GARBAGE \xff\xff\r\n\r\n", timeout=1)
    gateway.ask("/" + "\"'{}\\" * 1000 + "/log-me", headers={"User-Agent": '"},{\x7f'})
    log = eventually(lambda: [entry for entry in gateway.log() if len(str(entry.get("path", ""))) == 1024])
    assert log[-1]["status"] == 200
    for entry in gateway.log():
        assert {"timestamp", "level", "logger", "event"} <= set(entry)
        if entry["logger"] == "gateway.access":
            assert {"request_id", "status", "duration", "upstream", "release", "path", "method"} <= set(entry)
