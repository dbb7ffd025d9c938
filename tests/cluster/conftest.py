"""The tests' cluster, a namespace of a run's own on it, and an image with a small program for its pods."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.layout import Layout, layout_of
from cluster.shape import shape_of_tests
from tests.cluster.places import places_of_tests
from tests.cluster.pods import Namespace
from tests.conftest import started_at
from tests.kubernetes.cluster import RunningCluster, running_cluster

PROBE = Path(__file__).resolve().parent / "probe"
PREFIX = "cluster-test-"


@pytest.fixture(scope="session")
def layout() -> Layout:
    """Where the tests' cluster has its files."""
    return layout_of(shape_of_tests(), places_of_tests())


@pytest.fixture(scope="session")
def running(layout: Layout) -> RunningCluster:
    """The tests' cluster, without what killed runs left on it."""
    found = running_cluster()
    found.remove_what_dead_runs_left(PREFIX)
    return found


@pytest.fixture(scope="session")
def image(running: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pods' image, built here, pushed to the cluster's registry, and pulled from there."""
    folder = tmp_path_factory.mktemp("probe")
    go = shutil.which("go") or "/usr/local/go/bin/go"
    subprocess.run(
        [go, "build", "-trimpath", "-o", str(folder / "probe"), "."],
        cwd=PROBE, env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}, check=True, timeout=300,
    )  # fmt: skip
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY probe /probe\nUSER 65532\nENTRYPOINT ["/probe"]\n')
    name = f"{running.registry}/cluster-test/probe:{os.getpid()}"
    for command in (["build", "-q", "-t", name, str(folder)], ["push", "-q", name], ["rmi", "-f", name]):
        done = subprocess.run(["docker", *command], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    return name


@pytest.fixture(scope="session")
def namespace(running: RunningCluster) -> Iterator[Namespace]:
    """A namespace of this run's own, gone at the end."""
    made = Namespace(running, f"{PREFIX}{os.getpid()}-{started_at(os.getpid())}")
    made.create()
    yield made
    made.delete()
