"""The rights that the documentation asks an administrator for are enough: to look, to update, to destroy."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kubeapi import kubeconfig
from kubeapi.client import Client
from kubeapi.errors import ApiError
from operate.kubernetes import obstacles, preflight
from operate.kubernetes.cluster import Cluster
from operate.kubernetes.kinds import DEPLOYMENT, KINDS, ROUTE
from tests.kubernetes.cluster import RunningCluster
from tests.kubernetes.site import free_node_port
from tests.kubernetes.verbs import PROJECT, ClusterClone, make_cluster_clone
from tests.setup.conftest import ROOT

PREFIX = "rights-"
USERS = "apiGroup: rbac.authorization.k8s.io, kind: User, name: deployer"


@pytest.fixture(scope="module")
def looking(run_id: str) -> str:
    """The name of the cluster role that is good to have, and not needed."""
    return f"scaffold-looking-{run_id}"


@pytest.fixture(scope="module")
def granted(
    tmp_path_factory: pytest.TempPathFactory, cluster: RunningCluster, run_id: str, looking: str
) -> Iterator[ClusterClone]:
    """A clone whose kubeconfig is that of a user to whom just what is documented was granted."""
    cluster.remove_what_dead_runs_left(f"{PROJECT}-{PREFIX}")
    folder = tmp_path_factory.mktemp("rights")
    clone = make_cluster_clone(folder, cluster, f"{PREFIX}{run_id}", free_node_port())
    # Apart from the stack's namespace, which goes with the stack.
    users = f"{clone.namespace}-users"
    manifest = folder / "rights.yaml"
    manifest.write_text(documented(clone, f"kind: ServiceAccount, name: deployer, namespace: {users}", looking))
    cluster.kubectl("create", "namespace", users)
    try:
        cluster.kubectl("create", "serviceaccount", "deployer", f"--namespace={users}")
        cluster.kubectl("apply", f"--filename={manifest}")
        clone.environment["KUBECONFIG"] = str(kubeconfig_of(cluster, users, folder))
        yield clone
    finally:
        cluster.kubectl("delete", f"--filename={manifest}", "--ignore-not-found", "--wait=false")
        cluster.kubectl("delete", "namespace", users, "--wait=false")


def documented(clone: ClusterClone, user: str, looking: str) -> str:
    """Return the documented manifest for this clone's stack and another user."""
    text = (ROOT / preflight.RIGHTS).read_text()
    for written, meant in (
        ("scaffold-k8s", clone.namespace),
        ("instance: k8s", f"instance: {clone.stack}"),
        (USERS, user),
        ("scaffold-looking", looking),
    ):
        assert written in text
        text = text.replace(written, meant)
    return text


def kubeconfig_of(cluster: RunningCluster, namespace: str, folder: Path) -> Path:
    """Return a kubeconfig of the account."""
    path = folder / "kubeconfig"
    path.touch(0o600)
    path.write_text(cluster.kubeconfig.read_text())
    token = cluster.kubectl("create", "token", "deployer", f"--namespace={namespace}").strip()
    for arguments in (("set-credentials", "it", f"--token={token}"), ("set-context", "--current", "--user=it")):
        command = [*cluster.command[:1], "--kubeconfig", str(path), "config", *arguments]
        subprocess.run(command, timeout=30, check=True, capture_output=True)
    return path


def test_nothing_that_any_setting_asks_for_is_refused_to_such_a_user(granted: ClusterClone) -> None:
    wanted = preflight.asks(frozenset(kind.needs for kind in KINDS), namespace_is_there=True)
    with closing(Client(kubeconfig.load(granted.environment["KUBECONFIG"]))) as client:
        cluster = Cluster(client, granted.stack)
        assert obstacles.refused_of(cluster, [*wanted, ("delete", "", "namespaces")]) == []
        assert obstacles.refused(cluster, ("create", "", "namespaces"))
        assert obstacles.refused(Cluster(client, "other"), ("create", "apps", "deployments"))


def test_of_a_kind_that_only_a_setting_asks_for_a_user_without_the_right_sees_none(granted: ClusterClone) -> None:
    with closing(Client(kubeconfig.load(granted.environment["KUBECONFIG"]))) as client:
        elsewhere = Cluster(client, "other")
        assert elsewhere.objects(ROUTE) == []
        with pytest.raises(ApiError, match="cannot list resource"):
            elsewhere.objects(DEPLOYMENT)


@pytest.mark.slow
def test_such_a_user_makes_a_site_and_takes_it_away_without_looking_around(granted: ClusterClone, looking: str) -> None:
    granted.cluster.kubectl("delete", "clusterrolebinding", f"{looking}-deployer")
    code, said = granted.make("up")
    assert code == 0, said
    assert granted.get("/readyz")[0] == 200
    assert granted.make("up", "--expect-no-changes")[0] == 0
    assert granted.make("status")[0] == 0
    code, said = granted.make("destroy", DELETE_DATA="yes", YES="yes")
    assert code == 0, said
    # The rights go with the namespace, before it: what is left of it goes by itself.
    granted.cluster.kubectl("wait", f"namespace/{granted.namespace}", "--for=delete", "--timeout=90s")
