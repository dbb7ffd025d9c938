"""What the Docker daemon says of a port that a container has."""

from __future__ import annotations

from infra.platforms.docker import daemon, leftover
from tests.conftest import LABEL, Docker, free_port


def test_a_container_that_publishes_a_port_is_found(docker: Docker, run_id: str) -> None:
    port = free_port()
    name = f"port-{run_id}"
    docker(
        "run", "--detach", "--name", name, "--label", f"{LABEL}={run_id}", "--publish", f"127.0.0.1:{port}:80",
        "--init", "debian:trixie-slim", "sleep", "60",
    )  # fmt: skip
    assert daemon.publishers("", port) == [daemon.Publisher(name, ("127.0.0.1",))]
    assert leftover.has(daemon.container("", name), port)
    assert not leftover.has(daemon.container("", name), port + 1)
    assert daemon.listened_on("127.0.0.1", port)
    docker("rm", "--force", name)
    assert daemon.publishers("", port) == []
    assert not leftover.has(daemon.container("", name), port)
    assert not daemon.listened_on("127.0.0.1", port)
