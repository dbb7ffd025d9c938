"""What the switch makes of a peer's first answers, tried on this machine alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from watcher import switch
from watcher.asking import JobError
from watcher.switch import Plan
from watcher.upstream import Peer, Upstream

LONG = 600.0


class App(BaseHTTPRequestHandler):
    """Answers /readyz with the statuses that a test has put down, the last one for ever."""

    statuses: list[int]

    def do_GET(self) -> None:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        body = json.dumps({"status": "ready" if status == 200 else "unready", "release": "new"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A peer of release `new`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Peer("127.0.0.1", server.server_port)
    server.shutdown()
    server.server_close()


def probe(peer: Peer) -> None:
    """Ask a peer as the switch does, with all the time in the world."""
    wanted = Plan(Upstream("new", (peer,)), (), "https://app.example.com", Peer("gateway", 8080), LONG)
    switch.probe(wanted, peer, time.monotonic() + LONG)


def test_a_peer_that_is_not_ready_yet_is_waited_for(peer: Peer) -> None:
    App.statuses = [503, 503, 200]
    probe(peer)
    assert App.statuses == [200]


@pytest.mark.parametrize("before", [[], [503]])
def test_an_image_without_readyz_is_not_waited_for(peer: Peer, before: list[int]) -> None:
    App.statuses = [*before, 404]
    with pytest.raises(JobError) as caught:
        probe(peer)
    said = str(caught.value)
    assert said.startswith(f"{peer}: the image of release new has no /readyz: it answered 404, wanted status 200")
    assert '{"status": "ready", "release": "new"}' in said
    assert "app/scaffold/health.py" in said
