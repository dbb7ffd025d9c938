"""One network, one gateway and two peers for the tests that only ask; the others start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import LABEL, Docker
from tests.gateway.stage import Container, Gateway, Stage


@pytest.fixture(scope="session")
def stage(docker: Docker, run_id: str, gateway_image: str) -> Stage:
    """The network that the containers of this run share."""
    network = f"gwtest-{run_id}"
    docker("network", "create", "--label", f"{LABEL}={run_id}", network)
    return Stage(run_id, gateway_image, network)


@pytest.fixture(scope="session")
def peer_a(stage: Stage) -> Container:
    """A peer of release `a` that nobody kills."""
    return stage.peer("a")


@pytest.fixture(scope="session")
def shared_gateway(stage: Stage) -> Gateway:
    """The gateway behind `gateway`."""
    return stage.gateway()


@pytest.fixture
def gateway(shared_gateway: Gateway, peer_a: Container) -> Gateway:
    """A gateway with the usual settings that serves release `a`; a test may change both."""
    status = shared_gateway.status()
    if status["peers"] != [f"{peer_a.name}:8000"]:
        assert shared_gateway.use("a", f"{peer_a.name}:8000").status == 200
    assert shared_gateway.apply().status == 200
    return shared_gateway


@pytest.fixture
def own_gateway(stage: Stage) -> Iterator[Gateway]:
    """A gateway of the test's own, to be killed and restarted."""
    made = stage.gateway()
    yield made
    made.remove()
