"""A cluster of the tests' own, and the stack of a run on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.site import PROJECT
from tests.kubernetes.cluster import RunningCluster, running_cluster
from tests.kubernetes.site import ClusterSite, free_node_port, new_cluster_site


@pytest.fixture(scope="session")
def cluster() -> RunningCluster:
    """The tests' cluster; it stays for the next run, and whoever wants it gone says `make cluster-down`."""
    found = running_cluster()
    found.remove_what_dead_runs_left(f"{PROJECT}-e2e-")
    return found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, run_id: str, cluster: RunningCluster) -> Iterator[ClusterSite]:
    """A stack that no `up` has touched yet; everything of it is removed at the end."""
    made = new_cluster_site(tmp_path_factory.mktemp("kubernetes"), f"e2e-{run_id}", cluster, free_node_port())
    yield made
    made.remove_namespace()


@pytest.fixture(scope="session")
def cluster_before(site: ClusterSite) -> set[str]:
    """What was in the cluster before the stack."""
    return site.everything()


@pytest.fixture(scope="session")
def serving(site: ClusterSite, cluster_before: set[str]) -> ClusterSite:
    """The stack after its first `up`."""
    assert cluster_before
    site.up()
    return site
