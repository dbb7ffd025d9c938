"""Whether images can be pushed is found out as the Docker daemon would, and said before anything begins."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup import registry
from setup.daemon import Daemon, Endpoint
from setup.registry import Answer, insecure, logged_in, problem

NOWHERE = Daemon(Endpoint(socket="/nonexistent/docker.sock"))


@pytest.fixture
def answering() -> Iterator[dict[str, int]]:
    """A server on this machine that answers with the status in the dictionary; its port is in there too."""
    told = {"status": 200}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(told["status"] if self.path == "/v2/" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told["port"] = server.server_address[1]
        yield told
        server.shutdown()


@pytest.mark.parametrize(("status", "speaks"), [(200, True), (401, True), (404, False), (503, False)])
def test_a_registry_on_this_machine_is_asked_without_tls_too(
    answering: dict[str, int], status: int, speaks: bool
) -> None:
    answering["status"] = status
    answer = registry.ask(f"127.0.0.1:{answering['port']}/some/path", NOWHERE)
    assert (answer.status, answer.speaks) == (status, speaks)


def test_one_where_nobody_listens_says_so() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        answer = registry.ask(f"127.0.0.1:{probe.getsockname()[1]}", NOWHERE)
    assert answer.status == 0
    found = problem("127.0.0.1:5050", answer, user=False, stack="k8s")
    assert found is not None
    assert "No registry answers at 127.0.0.1:5050, which imageRegistry names" in found.cause
    assert "refused" in found.cause
    assert "STACK=k8s" in found.fix


def test_one_that_asks_who_pushes_wants_a_user() -> None:
    assert problem("images.example/me", Answer(401), user=True, stack="k8s") is None
    found = problem("images.example/me", Answer(401), user=False, stack="k8s")
    assert found is not None
    assert "The registry images.example asks who pushes" in found.cause
    assert "--secret imageRegistryPassword" in found.fix


def test_dockers_own_registry_takes_no_image_without_a_user(tmp_path: Path) -> None:
    answer = registry.ask("docker.io/me", NOWHERE)
    assert problem("docker.io/me", answer, user=False, stack="k8s") is not None
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"https://some.docker.io/v1/": {"auth": "x"}}}))
    assert logged_in("docker.io", tmp_path)


def test_what_is_no_registry_is_told_from_one() -> None:
    assert problem("a.example", Answer(200), user=False, stack="k8s") is None
    found = problem("a.example", Answer(404, "Not Found"), user=False, stack="k8s")
    assert found is not None
    assert "GET /v2/ gave 404 Not Found." in found.cause


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:5050", True),
        ("localhost:5050", True),
        ("10.1.2.3:5000", True),
        ("10.2.2.3:5000", False),
        ("images.example", False),
        ("old.example:5000", True),
        ("docker.io", False),
    ],
)
def test_a_registry_is_insecure_where_the_daemon_says_so(host: str, expected: bool) -> None:
    information = {
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128", "10.1.0.0/16"],
            "IndexConfigs": {"docker.io": {"Secure": True}, "old.example:5000": {"Secure": False}},
        }
    }
    assert insecure(host, information) is expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (None, False),
        ("{", False),
        ([], False),
        ({"auths": {"images.example": {"auth": "x"}}}, True),
        ({"auths": {"https://images.example/v2/": {}}}, True),
        ({"auths": {"other.example": {"auth": "x"}}}, False),
        ({"credHelpers": {"images.example": "pass"}}, True),
        ({"credsStore": "desktop"}, True),
    ],
)
def test_what_docker_login_keeps_counts_as_a_user(tmp_path: Path, settings: object, expected: bool) -> None:
    if settings is not None:
        (tmp_path / "config.json").write_text(settings if isinstance(settings, str) else json.dumps(settings))
    assert logged_in("images.example", tmp_path) is expected
