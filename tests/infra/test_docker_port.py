"""A port that somebody else has is refused before the gateway that has the present one is taken away."""

from __future__ import annotations

import socket

import pulumi
import pytest

from infra.platforms.docker import daemon, leftover
from infra.platforms.docker.daemon import Publisher
from tests.infra.conftest import RunProgram

EVERY = "0.0.0.0"  # noqa: S104 - compared, not bound
refuse = leftover.refuse_a_taken_port


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
    said = leftover.taken_by(address, [Publisher("other", ("", ""), addresses)])
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


@pytest.mark.parametrize(
    ("owner", "preview", "refused"),
    [(("scaffold", "other"), False, True), (("scaffold", "unit"), False, False), (("scaffold", "other"), True, False)],
)
def test_the_update_is_refused_before_anything_is_declared_unless_the_port_is_the_stacks_own(
    run_program: RunProgram,
    monkeypatch: pytest.MonkeyPatch,
    owner: tuple[str, str],
    preview: bool,
    refused: bool,
) -> None:
    monkeypatch.setattr(leftover, "refuse_a_taken_port", refuse)
    monkeypatch.setattr(daemon, "publishers", lambda _host, _port: [Publisher("theirs", owner, ("127.0.0.1",))])
    monkeypatch.setattr(daemon, "listened_on", lambda _address, _port: False)
    if not refused:
        assert run_program(preview=preview).resources
        return
    with pytest.raises(
        pulumi.RunError, match=r"gatewayPort: port 8000 on 127\.0\.0\.1 is taken by the container theirs"
    ):
        run_program(preview=preview)
