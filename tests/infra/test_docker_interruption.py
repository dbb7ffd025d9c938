"""What will have the running gateway replaced is told, and nothing else is."""

from __future__ import annotations

import copy
from typing import Any

import pulumi
import pytest

from infra.model import Service, System
from infra.platforms.docker import daemon, interruption
from tests.infra.conftest import RunProgram

warn = interruption.warn


@pytest.fixture
def described(run_program: RunProgram) -> System:
    """The system as it is described."""
    system = run_program().system
    assert system
    return system


@pytest.fixture
def running(described: System) -> dict[str, Any]:
    """The gateway's container as the daemon tells of it, where it is as described."""
    gateway = gateway_of(described)
    return {
        "State": {"Running": True},
        "Config": {
            "Image": f"scaffold-gateway:{gateway.workload.image.tag}-unit",
            "Env": ["PATH=/usr/bin", *(f"{name}={value}" for name, value in gateway.workload.env.items())],
            "User": "10002:10002",
            "Healthcheck": {"Test": ["CMD", *gateway.probe.command]},
        },
        "HostConfig": {"PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]}},
        "NetworkSettings": {"Networks": {"scaffold-unit-edge": {}, "scaffold-unit-to-web": {}}},
    }


def gateway_of(system: System) -> Service:
    """Return the gateway."""
    return system.service(system.route.gateway)


def warnings(monkeypatch: pytest.MonkeyPatch, system: System, found: dict[str, Any] | None) -> list[str]:
    """Return what is warned of when the daemon tells this of the gateway's container."""
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    warn(system, found)
    return said


def test_a_gateway_that_stays_is_not_spoken_of(
    monkeypatch: pytest.MonkeyPatch, described: System, running: dict[str, Any]
) -> None:
    assert warnings(monkeypatch, described, running) == []


def test_an_update_looks_at_the_gateway_once(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch, running: dict[str, Any]
) -> None:
    asked: list[str] = []
    said: list[str] = []
    running["Config"]["User"] = "0:0"

    def container(_host: str, name: str) -> dict[str, Any]:
        asked.append(name)
        return running

    monkeypatch.setattr(daemon, "container", container)
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    run_program()
    assert asked == ["scaffold-unit-gateway"]
    assert len(said) == 1


def test_another_image_is_told_with_what_happens_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, described: System, running: dict[str, Any]
) -> None:
    running["Config"]["Image"] = "scaffold-gateway:former"
    (said,) = warnings(monkeypatch, described, running)
    assert f"image: scaffold-gateway:former → scaffold-gateway:{gateway_of(described).workload.image.tag}-unit" in said
    assert "for up to 35 s more" in said
    assert "Kubernetes" in said


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        (("Config", "User"), "0:0", "user: 0:0 → 10002:10002"),
        (("Config", "Env"), ["STOP_TIMEOUT=10"], "environment: STOP_TIMEOUT=30"),
        (("Config", "Healthcheck"), None, "probe:  → probe-http 8080 /gateway/healthz"),
        (("HostConfig", "PortBindings"), None, "address:  → 127.0.0.1:8000"),
        (
            ("NetworkSettings", "Networks"),
            {"scaffold-unit-edge": {}},
            "networks: scaffold-unit-edge → scaffold-unit-edge, scaffold-unit-to-web",
        ),
    ],
)
def test_everything_that_only_another_container_can_have_is_told(
    monkeypatch: pytest.MonkeyPatch,
    described: System,
    running: dict[str, Any],
    where: tuple[str, str],
    value: object,
    told: str,
) -> None:
    other = copy.deepcopy(running)
    other[where[0]][where[1]] = value
    (said,) = warnings(monkeypatch, described, other)
    assert told in said


def test_nothing_is_told_where_no_gateway_serves(
    monkeypatch: pytest.MonkeyPatch, described: System, running: dict[str, Any]
) -> None:
    running["Config"]["Image"] = "scaffold-gateway:former"
    running["State"]["Running"] = False
    assert warnings(monkeypatch, described, running) == []
    assert warnings(monkeypatch, described, None) == []
