"""What every suite shares: a run's name, Docker objects that go away with it, and the images under test."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
LABEL = "scaffold.test"

Docker = Callable[..., str]

# No deadline: other work on the machine is no failure. In CI the same examples every time: a new one is found where
# somebody is there to look at it.
settings.register_profile("project", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("project")


def run_docker(*arguments: str, timeout: float = 120, check: bool = True) -> str:
    """Run the Docker CLI and return what it prints, stripped; raise AssertionError with its words if it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Return what a condition returns as soon as that is true; fail, naming what was waited for, otherwise."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started_at(pid: int) -> str | None:
    """Return the kernel's start time of a process, which tells it from a later one with the same number."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[19]


def is_of_a_dead_run(name: str) -> bool:
    """Whether a name begins with a run's process number and start time, as `run_id` does, and that process is gone."""
    pid, start, _ = (*name.split("-", 2), "", "")[:3]
    return pid.isdigit() and started_at(int(pid)) != start


def remove_labelled(label: str) -> None:
    """Remove every container, network and volume that carries the label."""
    for kind, listing in (
        ("container", ("ps", "-aq")),
        ("network", ("network", "ls", "-q")),
        ("volume", ("volume", "ls", "-q")),
    ):
        found = run_docker(*listing, "--filter", f"label={label}", check=False).split()
        if found and kind == "container":
            run_docker("rm", "-fv", *found, check=False)
        elif found:
            run_docker(kind, "rm", *found, check=False)


def remove_what_dead_runs_left(label: str = LABEL, prefix: str = "") -> None:
    """Remove the Docker objects of test runs whose process is gone, so that a killed run leaves nothing behind."""
    rows: set[str] = set()
    template = f'{{{{.Label "{label}"}}}}'
    for listing in (("ps", "-a"), ("network", "ls"), ("volume", "ls")):
        rows.update(run_docker(*listing, "--filter", f"label={label}", "--format", template, check=False).split())
    for name in rows:
        if name.startswith(prefix) and is_of_a_dead_run(name.removeprefix(prefix)):
            remove_labelled(f"{label}={name}")


@pytest.fixture(scope="session")
def run_id() -> str:
    """The unique name of this test run: process number, its start time, and a random part."""
    return f"{os.getpid()}-{started_at(os.getpid())}-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="session")
def docker(run_id: str) -> Iterator[Docker]:
    """The Docker CLI as a function; everything labelled `scaffold.test=<run_id>` is removed at the end."""
    remove_what_dead_runs_left()
    yield run_docker
    remove_labelled(f"{LABEL}={run_id}")


def build(name: str) -> str:
    """Build the image of one folder and return its id; cached layers make it quick.

    It gets no tag: that would be another run's too, which may test another working tree at the same time.
    """
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        ["docker", "build", "-q", str(ROOT / name)],
        capture_output=True, text=True, timeout=1500, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="session")
def app_image(docker: Docker) -> str:
    """The id of the app image, built from the working tree."""
    return build("app")


@pytest.fixture(scope="session")
def gateway_image(docker: Docker) -> str:
    """The id of the gateway image, built from the working tree."""
    return build("gateway")


@pytest.fixture(scope="session")
def database_image(docker: Docker) -> str:
    """The id of the database image, built from the working tree."""
    return build("database")


@pytest.fixture(scope="session")
def backup_image(docker: Docker) -> str:
    """The id of the image of backups and restores, built from the working tree."""
    return build("backup")
