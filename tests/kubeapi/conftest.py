"""A client of the tests' cluster and a namespace for all that these tests make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kubeapi import kubeconfig
from kubeapi.client import Client
from tests.kubernetes.cluster import RunningCluster, running_cluster


@pytest.fixture(scope="session")
def cluster() -> RunningCluster:
    """The tests' cluster."""
    return running_cluster()


@pytest.fixture(scope="session")
def client(cluster: RunningCluster) -> Iterator[Client]:
    """A client of the cluster's administrator."""
    made = Client(kubeconfig.load(str(cluster.kubeconfig)))
    yield made
    made.close()


@pytest.fixture(scope="session")
def namespace(client: Client, run_id: str) -> Iterator[str]:
    """A namespace of this run's own."""
    name = f"kubeapi-{run_id}"
    client.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    client.delete(f"/api/v1/namespaces/{name}")
