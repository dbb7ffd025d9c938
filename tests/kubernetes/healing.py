"""What `make up` does with what a killed update left in a cluster, and whether anything is left in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from kubeapi import kubeconfig
from kubeapi.client import Client
from operate.kubernetes import strays
from operate.kubernetes.cluster import RELEASE, Cluster, label_of, name_of
from operate.kubernetes.kinds import DEPLOYMENT, JOB, KINDS
from tests.e2e.healing import known
from tests.e2e.site import PROJECT
from tests.kubernetes.site import ClusterSite, is_ready


class OfTests(Cluster):
    """A stack's part of the cluster, whose project is not called as the real one is."""

    @property
    def namespace(self) -> str:
        """The stack's namespace."""
        return f"{PROJECT}-{self.stack}"

    @property
    def selector(self) -> str:
        """What selects the stack's objects."""
        return f"app.kubernetes.io/part-of={PROJECT},app.kubernetes.io/instance={self.stack}"


@contextmanager
def reached(site: ClusterSite) -> Iterator[Cluster]:
    """Yield the stack's part of the cluster."""
    client = Client(kubeconfig.load(str(site.cluster.kubeconfig), "", site.environment))
    try:
        yield OfTests(client, site.stack)
    finally:
        client.close()


def heal(site: ClusterSite) -> None:
    """Do what `make cancel` and `make up` do before their update."""
    site.pulumi("cancel", "--yes", site.stack)
    if known(site).pending_creates:
        site.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates")


def settle(site: ClusterSite) -> None:
    """Do what `make up` does after its update: take away what the state does not know."""
    found = known(site)
    with reached(site) as cluster:
        for kind in KINDS:
            for each in strays.unknown(cluster, found, (kind,)):
                strays.remove(cluster, kind, name_of(each))


def assert_one_release(site: ClusterSite, replicas: int = 2) -> str:
    """One release serves, everything of it is there, nothing of any other; return its id."""
    release: str = site.outputs()["release"]
    found = known(site)
    assert json.loads(site.get("/probe/release").body)["release"] == release
    assert not found.pending
    with reached(site) as cluster:
        left = [f"{kind.name} {name_of(each)}" for kind in KINDS for each in strays.unknown(cluster, found, (kind,))]
        carried = {label_of(each, RELEASE) for kind in (DEPLOYMENT, JOB) for each in cluster.objects(kind)}
    assert left == [], "the state does not know them"
    assert carried - {""} == {release}
    web = site.pods("web")
    assert [is_ready(pod) for pod in web] == [True] * replicas
    assert {label_of(pod, RELEASE) for pod in web} == {release}
    return release
