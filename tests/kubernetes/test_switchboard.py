"""A restore scales Deployments on a real cluster, with no more rights than a role of a few lines gives it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from kubeapi import kubeconfig
from restore import cluster as api
from restore.kubernetes import MIGRATION, KubernetesSwitchboard
from restore.switchboard import Ended, SwitchboardError, Unit
from tests.conftest import until
from tests.kubernetes.cluster import RunningCluster
from tests.offline.kubernetes_stage import sleeper

PREFIX = "switchboard-"
ACCOUNT = "db-restore"
RELEASE = "app.kubernetes.io/version"
RULES = [
    {
        "apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["web", MIGRATION],
        "verbs": ["get", "patch"],
    },
    {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": [MIGRATION], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]  # fmt: skip
SECURE = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
NOT_ENDED = "status.phase!=Succeeded,status.phase!=Failed"
LEAVES_SLOWLY = "trap 'sleep 2; exit 0' TERM; touch /tmp/ready; while :; do sleep 0.1; done"
UPGRADE = "echo upgrading; echo postgresql://owner:hunter2@database/scaffold; exit "

Live = dict[str, Any]


class Stage:
    """A namespace with Deployments, and the account of a restore."""

    def __init__(self, cluster: RunningCluster, name: str, image: str) -> None:
        self.cluster = cluster
        self.name = name
        self.image = image

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the namespace as the cluster's administrator."""
        return self.cluster.kubectl("--namespace", self.name, *arguments)

    def apply(self, *objects: Live) -> None:
        """Make objects."""
        made = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        done = subprocess.run(
            [*self.cluster.command, "--namespace", self.name, "apply", "--filename=-"],
            input=json.dumps(made), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def container(self, name: str, command: str, **more: Any) -> Live:
        """Return a container of a pod."""
        return {
            "name": name, "image": self.image, "command": ["sh", "-c", command], "securityContext": SECURE,
            "terminationMessagePolicy": "FallbackToLogsOnError", **more,
        }  # fmt: skip

    def deployment(self, name: str, replicas: int, *containers: Live, first: Live | None = None) -> Live:
        """Return a Deployment."""
        labels = {"app.kubernetes.io/name": name, RELEASE: "0123456789"}
        spec = {
            "terminationGracePeriodSeconds": 10, "automountServiceAccountToken": False, "containers": list(containers),
            **({"initContainers": [first]} if first else {}),
        }  # fmt: skip
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }

    def web(self, name: str, replicas: int) -> Live:
        """Return a Deployment of pods that take their time to leave."""
        ready = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
        return self.deployment(name, replicas, self.container("web", LEAVES_SLOWLY, readinessProbe=ready))

    def migration(self, upgrade: str) -> Live:
        """Return the Deployment with the release's migrations, of which nothing runs."""
        done = self.container("done", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
        return self.deployment(MIGRATION, 0, done, first=self.container("migrate", upgrade))

    def account(self) -> None:
        """Make the account with its role."""
        named = {"metadata": {"name": ACCOUNT}}
        of = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.name}
        to = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
        version = "rbac.authorization.k8s.io/v1"
        self.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", **named},
            {"apiVersion": version, "kind": "Role", **named, "rules": RULES},
            {"apiVersion": version, "kind": "RoleBinding", **named, "subjects": [of], "roleRef": to},
        )

    def board(self, folder: Path) -> KubernetesSwitchboard:
        """Return the switchboard as a pod of that account has it."""
        access = kubeconfig.load(str(self.cluster.kubeconfig))
        (folder / "ca.crt").write_text(access.authority)
        (folder / "namespace").write_text(self.name)
        (folder / "token").write_text(self.kubectl("create", "token", ACCOUNT))
        server = urlsplit(access.server)
        environ = {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}
        return KubernetesSwitchboard(api.found(environ, folder))

    def pods(self, name: str) -> list[str]:
        """The names of a Deployment's pods whose containers have not ended for good."""
        chosen = (f"--selector=app.kubernetes.io/name={name}", f"--field-selector={NOT_ENDED}")
        return self.kubectl("get", "pods", *chosen, "--output=jsonpath={.items[*].metadata.name}").split()


@pytest.fixture(scope="module")
def stage(cluster: RunningCluster, run_id: str) -> Iterator[Stage]:
    """The namespace; it is gone at the end."""
    cluster.remove_what_dead_runs_left(PREFIX)
    made = Stage(cluster, f"{PREFIX}{run_id}", sleeper(cluster.registry))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl("create", "namespace", made.name)
    try:
        cluster.kubectl("label", "namespace", made.name, *(f"{key}={value}" for key, value in labels.items()))
        made.account()
        made.apply(made.web("web", 2), made.web("other", 1), made.migration(f"{UPGRADE}0"))
        yield made
    finally:
        cluster.kubectl("delete", "namespace", made.name, "--wait=false")


@pytest.fixture(scope="module")
def board(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> KubernetesSwitchboard:
    """The switchboard."""
    return stage.board(tmp_path_factory.mktemp("account"))


def test_a_deployment_stops_to_its_last_pod_and_starts_as_it_was(stage: Stage, board: KubernetesSwitchboard) -> None:
    until(lambda: board.state(Unit("web", "running")).healthy, "pods that are ready")
    web, none = board.resolve(["web", MIGRATION])
    assert (web, none) == (Unit("web", "running", "healthy", 2), Unit(MIGRATION, "stopped"))
    board.stop(web, 5)
    assert stage.pods("web") == []
    assert board.state(web) == Unit("web", "stopped")
    board.start(web, 60)
    until(lambda: board.state(web) == web, "pods that are ready again")
    assert len(stage.pods("web")) == 2


def test_the_role_allows_nothing_more(stage: Stage, board: KubernetesSwitchboard) -> None:
    before = stage.pods("other")
    with pytest.raises(SwitchboardError, match="with status 403") as refused:
        board.stop(Unit("other", "running", "healthy", 1), 1)
    assert not refused.value.transient
    space = f"/api/v1/namespaces/{stage.name}"
    for path in (f"{space}/secrets", f"{space}/configmaps", f"{space}/pods/{before[0]}/log", "/api/v1/nodes"):
        with pytest.raises(SwitchboardError, match="with status 403"):
            board.cluster.get(path)
    with pytest.raises(SwitchboardError, match="with status 403"):
        board.cluster.patch(f"/apis/apps/v1/namespaces/{stage.name}/deployments/web", {"spec": {"paused": True}})
    with pytest.raises(SwitchboardError, match="with status 403"):
        board.cluster.get("/apis/apps/v1/namespaces/kube-system/deployments/coredns/scale")
    assert stage.pods("other") == before


def test_migrations_end_with_what_they_came_to(stage: Stage, board: KubernetesSwitchboard) -> None:
    assert board.run_migration("0123456789", 90).status == 0
    assert stage.pods(MIGRATION) == []
    stage.apply(stage.migration(f"{UPGRADE}7"))
    assert board.run_migration("0123456789", 90) == Ended(7, ("upgrading", "postgresql://***@database/scaffold"))
    assert stage.pods(MIGRATION) == []
    with pytest.raises(SwitchboardError, match="is of release 0123456789, wanted release 9876543210"):
        board.run_migration("9876543210", 5)


@pytest.mark.slow
def test_an_autoscaler_leaves_alone_what_is_scaled_to_nothing(stage: Stage, board: KubernetesSwitchboard) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    busy = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}
    stage.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 3, "metrics": [busy]},
        }
    )

    def active() -> str:
        path = "--output=jsonpath={.status.conditions[?(@.type=='ScalingActive')].reason}"
        return stage.kubectl("get", "horizontalpodautoscaler", "web", path)

    until(active, "an autoscaler that has looked")
    (web,) = board.resolve(["web"])
    board.stop(web, 5)
    until(lambda: active() == "ScalingDisabled", "an autoscaler that has seen that nothing runs")
    assert board.state(web) == Unit("web", "stopped")
    board.start(web, 60)
    until(lambda: active() != "ScalingDisabled", "an autoscaler that is at work again")
    assert board.state(web).replicas == 2
