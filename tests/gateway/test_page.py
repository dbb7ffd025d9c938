"""The maintenance page (M4, M5): in every way an app can be away, for every kind of request."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from string import Template

import pytest

from tests.conftest import ROOT, run_docker
from tests.gateway.stage import HOST, PAGE, SETTINGS, Container, Gateway, Reply, Stage, eventually

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "upgrade")
HTML, JSON = "text/html; charset=utf-8", "application/problem+json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
ACCEPTS = {
    None: HTML,
    "*/*": HTML,
    BROWSER: HTML,
    "application/json": JSON,
    "application/problem+json, text/html;q=0.5": JSON,
    "text/html;q=0.1, application/json": JSON,
    "text/html, application/json": HTML,
    "image/png": HTML,
}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def check(reply: Reply, method: str, kind: str) -> None:
    """Fail unless a reply is the page as it must be."""
    assert reply.status == 503, (method, reply)
    assert reply.header("Content-Type") == kind
    assert reply.header("Retry-After") == "30"
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("Vary") == "Accept"
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.header("X-Frame-Options") == "DENY"
    assert reply.header("Referrer-Policy") == "no-referrer"
    assert "default-src 'none'" in str(reply.header("Content-Security-Policy"))
    assert reply.header("ETag") is None
    assert reply.header("Last-Modified") is None
    assert reply.header("Accept-Ranges") is None
    assert reply.header("Server") == "nginx"
    request = str(reply.header("X-Request-ID"))
    assert re.fullmatch(r"[0-9a-f]{32}", request)
    if method == "HEAD":
        assert reply.body == b""
        assert int(str(reply.header("Content-Length"))) > 50
        return
    assert int(str(reply.header("Content-Length"))) == len(reply.body)
    if kind == JSON:
        told = reply.document()
        assert (told["status"], told["request_id"], told["title"]) == (503, request, "Service Unavailable")
    else:
        assert reply.body.decode() == PAGE.replace('<!--# echo var="request_id" -->', request)


def ask(gateway: Gateway, path: str, method: str, accept: str | None) -> Reply:
    headers = {"Accept": accept} if accept else {}
    if method == "upgrade":
        return gateway.ask(path, "GET", {**headers, **UPGRADE})
    body = b"sent" * 5000 if method in ("POST", "PUT", "PATCH") else None
    return gateway.ask(path, method, headers, body)


@pytest.fixture(scope="module")
def away(stage: Stage) -> Iterator[Gateway]:
    """A gateway whose peer the tests put into every bad state."""
    made = stage.gateway(settings={**SETTINGS, "read_timeout": 1, "connect_timeout_ms": 150})
    yield made
    made.remove()


STATES = {
    "no peer was ever told": "/",
    "the peer was killed": "/",
    "the peer does not listen yet": "/",
    "the peer is frozen": "/",
    "the peer hangs": "/hang",
    "the peer resets the connection": "/reset",
    "the peer's header never ends": "/crawl",
    "the gateway has no network": "/",
}


@pytest.mark.parametrize("state", STATES)
def test_the_page_is_served_when(state: str, away: Gateway, stage: Stage, peer_a: Container) -> None:
    address, path, thaw = away.target, STATES[state], None
    if state == "no peer was ever told":
        assert away.use("", *()).status == 200
    elif state == "the peer was killed":
        peer = stage.peer("dying")
        assert away.use("dying", f"{peer.name}:8000").status == 200
        assert away.ask("/x").status == 200
        peer.crash()
    elif state == "the peer does not listen yet":
        peer = stage.peer("starting", START_DELAY="3600")
        assert away.use("starting", f"{peer.name}:8000").status == 200
    elif state == "the peer is frozen":
        peer = stage.peer("frozen")
        assert away.use("frozen", f"{peer.name}:8000").status == 200
        run_docker("pause", peer.name)
        thaw = peer
    else:
        assert away.use("a", f"{peer_a.name}:8000").status == 200
    if state == "the gateway has no network":
        run_docker("network", "disconnect", stage.network, away.name)
        status = run_docker("exec", away.name, "probe-http", "8080", "/gateway/healthz", check=False)
        assert status == ""
        line = "exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET / HTTP/1.0\\r\\nHost: site.test\\r\\n\\r\\n' >&3; cat <&3"
        answer = run_docker("exec", away.name, "bash", "-c", line)
        assert answer.startswith("HTTP/1.1 503")
        assert "The tests' page" in answer
        run_docker("network", "connect", "--alias", away.name, stage.network, away.name)
        away.known_address = ""
        assert eventually(lambda: away.ask("/x").status == 200)
        return
    combinations = list(itertools.product(METHODS, ACCEPTS))
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda pair: ask(away, path, *pair), combinations))
    for (method, accept), reply in zip(combinations, replies, strict=True):
        check(reply, method, ACCEPTS[accept])
    assert away.ask("/gateway/healthz").status == 200, "the gateway itself is healthy"
    assert address == away.target
    if thaw:
        run_docker("unpause", thaw.name)


def test_below_api_the_page_is_a_problem_document(away: Gateway) -> None:
    away.use("")
    for accept in ("*/*", BROWSER, None):
        check(ask(away, "/api/users?x=1", "GET", accept), "GET", JSON)


def test_conditional_and_range_requests_get_the_whole_page(away: Gateway) -> None:
    away.use("")
    headers = {
        "If-None-Match": "*",
        "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT",
        "Range": "bytes=0-3",
        "If-Range": '"x"',
    }
    check(away.ask("/", headers=headers), "GET", HTML)


def test_a_request_on_the_same_connection_after_the_page_of_a_post_is_understood(away: Gateway) -> None:
    away.use("")
    post = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 30000\r\n\r\n".encode() + b"x" * 30000
    get = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    assert away.raw(post + get).count(b"HTTP/1.1 503") == 2


def test_a_new_page_is_in_use_at_once_and_without_a_reload(away: Gateway) -> None:
    away.use("")
    workers = away.status()["nginx"]["workers"]
    assert away.apply({**SETTINGS, "read_timeout": 1}, page="<p>another</p>").status == 200
    assert away.ask("/").body == b"<p>another</p>"
    assert away.status()["nginx"]["workers"] == workers
    assert away.apply({**SETTINGS, "read_timeout": 1}).status == 200


def test_what_the_app_says_itself_passes(gateway: Gateway) -> None:
    own = gateway.ask("/error")
    assert (own.status, own.body) == (500, b'{"error":"the app\'s own"}')
    own = gateway.ask("/unavailable")
    assert (own.status, own.header("Retry-After"), own.body) == (503, "7", b'{"error":"the app\'s own 503"}')


def test_a_body_that_is_cut_short_is_never_taken_for_whole(gateway: Gateway) -> None:
    answer = gateway.raw(f"GET /reset-mid-body HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert b"Content-Length: 100000" in answer
    assert len(answer) < 2000
    assert gateway.ask("/x").status == 200


def test_pages_served_are_counted_on_the_control_alone(gateway: Gateway) -> None:
    before = gateway.status()["maintenance_pages"]
    for _ in range(3):
        assert gateway.ask("/reset").status == 503
    eventually(lambda: gateway.status()["maintenance_pages"] == before + 3)
    metrics = gateway.control("GET", "/metrics").body.decode()
    assert f"gateway_maintenance_pages_total {before + 3}\n" in metrics
    assert 'gateway_release_info{release="a"} 1\n' in metrics
    assert re.search(r'gateway_requests_total\{class="5xx"\} [1-9]', metrics)
    for path in ("/gateway/metrics", "/gateway/status", "/metrics", "/peers", "/counters", "/configuration"):
        assert b"gateway_" not in gateway.ask(path).body


def test_the_template_is_self_contained_and_leads_to_the_front_page_alone() -> None:
    template = (ROOT / "gateway" / "maintenance.html.tmpl").read_text(encoding="utf-8")
    page = Template(template).substitute(
        brand="B &amp; Co", title="Back soon", message="A message", contact='<p class="contact">ops</p>'
    )
    assert page.count('<!--# echo var="request_id" -->') == 1
    assert set(re.findall(r'(?:href|src|url)=["\']?([^"\'> ]+)', page)) == {"data:,", "/"}
    assert "url(" not in page
    assert "@import" not in page
    assert "<script" not in page
    assert '<html lang="en">' in page
    for part in ("B &amp; Co", "<title>Back soon</title>", "A message", "ops"):
        assert part in page


def test_before_anything_was_applied_every_host_gets_the_built_in_page(stage: Stage) -> None:
    fresh = stage.gateway(settings=None)
    for host in ("anything.test", "127.0.0.1"):
        reply = fresh.ask("/deep/link?x=1", "POST", {"Accept": BROWSER}, b"x", host=host)
        assert reply.status == 503
        assert b"Back in a moment" in reply.body
    assert fresh.ask("/gateway/healthz").status == 200
    fresh.remove()


def test_the_log_of_all_this_is_json_without_queries(away: Gateway) -> None:
    away.ask("/login/sls?SAMLResponse=secret-assertion", headers={"Referer": "http://x/?SAMLRequest=secret-too"})
    away.use("gone", "127.0.0.1:9")
    away.ask("/login/sls?SAMLResponse=secret-assertion", headers={"Referer": "http://x/?SAMLRequest=secret-too"})
    log = eventually(lambda: [entry for entry in away.log() if entry.get("upstream") == "127.0.0.1:9"])
    assert log[-1]["path"] == "/login/sls"
    assert (log[-1]["status"], log[-1]["upstream_status"], log[-1]["release"]) == (503, "502", "gone")
    whole = json.dumps(eventually(lambda: away.log() if "Connection refused" in str(away.log()) else None))
    assert "secret" not in whole
