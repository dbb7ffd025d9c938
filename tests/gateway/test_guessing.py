"""Who guesses at passwords and codes is slowed at the door, and nobody else is."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.gateway.stage import Container, Gateway, Reply, Stage

PROXIES = ["172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"]
BURST, ANSWERS = 5, 100


@pytest.fixture(scope="module")
def gateway_behind_a_proxy(stage: Stage, peer_a: Container) -> Iterator[Gateway]:
    """A gateway that is told by a proxy who asks."""
    made = stage.gateway(settings={"site_url": "https://site.test", "trusted_proxies": PROXIES})
    assert made.use("a", f"{peer_a.name}:8000").status == 200
    yield made
    made.remove()


def send(gateway: Gateway, client: str, path: str, method: str = "POST", accept: str = "text/html") -> Reply:
    """Send something as somebody at an address."""
    headers = {"X-Forwarded-For": client, "X-Forwarded-Proto": "https", "Accept": accept}
    return gateway.ask(path, method, headers=headers, body=b"x=1" if method == "POST" else None)


@pytest.mark.parametrize(
    ("client", "path"),
    [("198.51.100.1", "/auth/login/password"), ("198.51.100.2", "/auth/login/factor")],
)
def test_tries_beyond_a_few_from_one_address_never_reach_the_app(
    gateway_behind_a_proxy: Gateway, client: str, path: str
) -> None:
    replies = [send(gateway_behind_a_proxy, client, path) for _ in range(20)]
    assert [reply.status for reply in replies[: BURST + 1]] == [200] * (BURST + 1)
    late = [reply for reply in replies if reply.status == 429]
    # One more may have been earned while these were sent.
    assert len(late) >= 20 - BURST - 2
    assert int(late[0].header("Retry-After") or 0) >= 1
    assert late[0].body.startswith(b"429 Too Many Requests")


@pytest.mark.parametrize("path", ["//auth/login/password", "/auth/login/%70assword", "/auth/x/../login/password?a=b"])
def test_another_spelling_of_the_path_is_no_way_around(gateway_behind_a_proxy: Gateway, path: str) -> None:
    client = f"198.51.100.{30 + len(path)}"
    assert 429 in {send(gateway_behind_a_proxy, client, path).status for _ in range(BURST + 5)}


def test_a_program_is_told_with_a_problem_document(gateway_behind_a_proxy: Gateway) -> None:
    replies = [
        send(gateway_behind_a_proxy, "198.51.100.3", "/auth/login/password", accept="application/json")
        for _ in range(BURST + 5)
    ]
    assert json.loads(replies[-1].body)["status"] == 429


def test_others_and_other_pages_are_not_slowed(gateway_behind_a_proxy: Gateway) -> None:
    for _ in range(BURST + 5):
        send(gateway_behind_a_proxy, "198.51.100.4", "/auth/login/password")
    assert send(gateway_behind_a_proxy, "198.51.100.5", "/auth/login/password").status == 200
    assert send(gateway_behind_a_proxy, "198.51.100.4", "/auth/login/password", "GET").status == 200
    assert send(gateway_behind_a_proxy, "198.51.100.4", "/orders").status == 200


def test_an_office_signs_in_at_once_through_the_identity_provider(gateway_behind_a_proxy: Gateway) -> None:
    replies = [send(gateway_behind_a_proxy, "198.51.100.6", "/auth/login/saml/acs") for _ in range(ANSWERS)]
    assert {reply.status for reply in replies} == {200}


def test_nobody_begins_logins_without_end(gateway_behind_a_proxy: Gateway) -> None:
    path = "/auth/login/saml"
    replies = [send(gateway_behind_a_proxy, "198.51.100.7", path, "GET") for _ in range(ANSWERS + 60)]
    assert 429 in {reply.status for reply in replies}
