"""A port that somebody else has is refused before the gateway that has the present one is taken away."""

from __future__ import annotations

import socket
from typing import Any

import pulumi
import pytest

from infra.platforms.docker import daemon, leftover
from infra.platforms.docker.daemon import Publisher
from tests.infra.conftest import RunProgram

EVERY = "0.0.0.0"  # noqa: S104 - compared, not bound


@pytest.mark.parametrize(
    ("address", "addresses", "taken"),
    [
        ("127.0.0.1", (EVERY, "::"), True),
        ("127.0.0.1", ("127.0.0.1",), True),
        ("127.0.0.1", ("10.0.0.1",), False),
        (EVERY, ("10.0.0.1",), True),
        ("127.0.0.1", (), False),
    ],
)
def test_a_container_is_in_the_way_where_the_addresses_exclude_each_other(
    address: str, addresses: tuple[str, ...], taken: bool
) -> None:
    said = leftover.taken_by(address, [Publisher("other", addresses)])
    assert said == ("the container other" if taken else "")


def test_a_listener_on_this_machine_is_seen_and_a_free_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert daemon.listened_on("127.0.0.1", port)
    assert not daemon.listened_on("127.0.0.1", port)
    assert not daemon.listened_on("192.0.2.1", port), "an address of another machine cannot be tried"


@pytest.mark.parametrize(
    ("host", "variable", "here"),
    [
        ("", None, True),
        ("", "tcp://far:2375", False),
        ("unix:///var/run/docker.sock", "tcp://far:2375", True),
        ("tcp://far:2375", None, False),
    ],
)
def test_only_a_daemon_behind_a_socket_is_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, host: str, variable: str | None, here: bool
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    if variable:
        monkeypatch.setenv("DOCKER_HOST", variable)
    assert daemon.is_here(host) is here


def test_the_update_is_refused_where_somebody_else_has_the_port_and_a_preview_is_not(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "publishers", lambda _host, _port: [Publisher("theirs", ("127.0.0.1",))])
    assert run_program(preview=True).resources
    with pytest.raises(
        pulumi.RunError, match=r"gatewayPort: port 8000 on 127\.0\.0\.1 is taken by the container theirs"
    ):
        run_program()


def gateway(port: int, *, running: bool = True) -> dict[str, Any]:
    """Return the stack's own gateway as the daemon tells of it."""
    bindings = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}], "9000/tcp": None}
    return {"State": {"Running": running}, "HostConfig": {"PortBindings": bindings}}


@pytest.mark.parametrize(
    ("present", "asked"),
    [(gateway(8000), False), (gateway(8001), True), (gateway(8000, running=False), True), (None, True)],
)
def test_nobody_is_asked_who_has_the_port_while_the_gateway_has_it(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch, present: dict[str, Any] | None, asked: bool
) -> None:
    described = run_program().system
    assert described
    ports: list[int] = []

    def publishers(_host: str, port: int) -> list[Publisher]:
        ports.append(port)
        return []

    monkeypatch.setattr(daemon, "publishers", publishers)
    assert leftover.taken_port("", described, present) == ""
    assert ports == [8000] * asked
