"""A cluster of the tests' own comes up beside the shared one, and goes without leaving anything."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from cluster import groups, network, process
from cluster.layout import Layout, layout_of
from cluster.running import running as is_running
from cluster.shape import Shape
from cluster.start import start
from cluster.stop import stop
from setup.places import Places
from setup.problem import Problem
from setup.terminal import Silent
from tests.cluster.machine import difference, snapshot
from tests.cluster.places import places_of_tests
from tests.cluster.pods import Namespace
from tests.conftest import until
from tests.kubernetes.cluster import RunningCluster

SHAPE = Shape("passing", IPv4Network("10.87.0.0/16"), api_port=16444, registry_port=5056, durable=False)
UP_SECONDS = 60


@pytest.fixture(scope="module")
def places(running: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """Places with the programs of the shared cluster, and a state of their own; nothing runs at the end."""
    assert running
    found = replace(places_of_tests(), state=tmp_path_factory.mktemp("state"))
    stop(SHAPE, Places(found.repository, found.cache, left_by_a_killed_run() or found.state, found.venv), os.environ,
         Silent(), delete_data=True)  # fmt: skip
    yield found
    stop(SHAPE, found, os.environ, Silent(), delete_data=True)


def left_by_a_killed_run() -> Path | None:
    """Return the state of a run that was killed while its cluster was up."""
    owner = Path("/run") / SHAPE.cgroup / "owner"
    return Path(owner.read_text()).parent.parent if owner.exists() else None


@pytest.fixture(scope="module")
def passing(places: Places) -> Layout:
    return layout_of(SHAPE, places)


def test_a_cluster_comes_and_goes_and_comes_back_with_its_data(places: Places, passing: Layout) -> None:
    before = snapshot()
    began = time.monotonic()
    found = start(SHAPE, places, os.environ, Silent())
    seconds = time.monotonic() - began
    assert is_running(SHAPE, places) == found
    cluster = RunningCluster(found.kubeconfig, found.registry, found.kubectl, found.api_port)
    Namespace(cluster, "kept").create()
    assert seconds < UP_SECONDS, f"it took {seconds:.0f} s"

    assert stop(SHAPE, places, os.environ, Silent())
    assert difference(before, snapshot()) == {}
    assert not groups.members(SHAPE.cgroup)
    assert is_running(SHAPE, places) is None
    assert not stop(SHAPE, places, os.environ, Silent()), "there is nothing left to stop"

    start(SHAPE, places, os.environ, Silent())
    assert "kept" in cluster.kubectl("get", "namespaces", "--output=name")


@pytest.mark.parametrize("network_gone", [False, True], ids=["killed", "killed, and its network gone"])
def test_it_goes_on_after_all_of_it_was_killed_as_by_a_restart(
    places: Places, passing: Layout, network_gone: bool
) -> None:
    found = start(SHAPE, places, os.environ, Silent())
    cluster = RunningCluster(found.kubeconfig, found.registry, found.kubectl, found.api_port)
    for pid in groups.members(SHAPE.cgroup):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not groups.members(SHAPE.cgroup), "the end of all processes", 15)
    if network_gone:
        network.remove(SHAPE)
    start(SHAPE, places, os.environ, Silent())
    cluster.kubectl("wait", "--for=condition=Available", "--namespace=kube-system", "deployment/coredns")
    assert process.alive(passing.records, "kubelet")


def test_a_network_that_was_taken_away_under_it_comes_back_with_what_runs_in_it(
    places: Places, passing: Layout
) -> None:
    start(SHAPE, places, os.environ, Silent())
    network.remove(SHAPE)
    found = start(SHAPE, places, os.environ, Silent())
    assert is_running(SHAPE, places) == found


def test_another_folder_may_not_take_over_a_running_cluster(places: Places, tmp_path: Path) -> None:
    start(SHAPE, places, os.environ, Silent())
    elsewhere = replace(places, state=tmp_path)
    with pytest.raises(Problem, match="A cluster passing runs on this machine already") as refusal:
        start(SHAPE, elsewhere, os.environ, Silent())
    assert "make cluster-down" in refusal.value.fix
    with pytest.raises(Problem, match="runs on this machine already"):
        stop(SHAPE, elsewhere, os.environ, Silent())


def test_its_data_goes_only_when_told(places: Places, passing: Layout) -> None:
    start(SHAPE, places, os.environ, Silent())
    assert stop(SHAPE, places, os.environ, Silent())
    assert passing.store.exists()
    assert stop(SHAPE, places, os.environ, Silent(), delete_data=True)
    assert not passing.folder.exists()
