"""Real `pulumi up` on the Kubernetes plugin: rollouts, failures that are mended, drift, secrets, and nothing to do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes.cluster import RunningCluster, running_cluster
from tests.offline.conftest import Project
from tests.offline.kubernetes_stage import sleeper

REFRESHED = "options: {refresh: always}\n"
SECRET = "a-secret-of-this-test"
NEITHER = ("created", "updated", "replaced", "deleted")

PROGRAM = """
import json
from pathlib import Path
import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.batch.v1 import Job
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, Secret, Service

wanted = json.loads(Path("wanted.json").read_text())
opts = pulumi.ResourceOptions(provider=Provider("here", kubeconfig=wanted["kubeconfig"]))
space = Namespace("space", metadata={"name": wanted["namespace"]}, opts=opts)
within = {"namespace": space.metadata.name}
hidden = {"key": pulumi.Output.secret(wanted["secret"])}
secret = Secret("key", metadata=within, string_data=hidden, immutable=True, opts=opts)
settings = ConfigMap("settings", metadata=within, data={"value": wanted["value"]}, immutable=True, opts=opts)

def pod(command, **spec):
    return {"terminationGracePeriodSeconds": 0, "containers": [{
        "name": "main", "image": wanted["image"], "command": command, "resources": {"requests": {"cpu": "10m"}},
        "envFrom": [{"configMapRef": {"name": settings.metadata.name}}],
    }], **spec}

job = Job("migrate", metadata={**within, "annotations": {"pulumi.com/replaceUnready": "true"}},
    spec={"backoffLimit": 0, "template": {"spec": pod(["sh", "-c", wanted["job"]], restartPolicy="Never")}},
    opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(
        custom_timeouts=pulumi.CustomTimeouts(create="90s", update="90s"), delete_before_replace=True)))
web = Deployment("web", metadata={**within, "name": "web"},
    spec={"replicas": 1, "selector": {"matchLabels": {"app": "web"}},
          "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod(["sleep", "infinity"])}},
    opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[job])))
Service("web", metadata={**within, "name": "web"}, spec={"selector": {"app": "web"}, "ports": [{"port": 80}]},
    opts=opts)
pulumi.export("settings", settings.metadata.name)
pulumi.export("key", secret.metadata.name)
"""


@pytest.fixture(scope="module")
def cluster() -> RunningCluster:
    """The tests' cluster."""
    return running_cluster()


@pytest.fixture(scope="module")
def image(cluster: RunningCluster) -> str:
    """An image in the cluster's registry that can sleep."""
    return sleeper(cluster.registry)


class Stack:
    """The program's stack, and the cluster it is on."""

    def __init__(self, project: Project, cluster: RunningCluster, image: str, namespace: str) -> None:
        self.project = project
        self.cluster = cluster
        self.namespace = namespace
        self._wanted = {
            "kubeconfig": str(cluster.kubeconfig), "namespace": namespace, "secret": SECRET, "image": image,
            "value": "one", "job": "exit 0",
        }  # fmt: skip
        self.want()

    def want(self, **changes: str) -> None:
        """Write what the program reads."""
        self._wanted.update(changes)
        (self.project.folder / "wanted.json").write_text(json.dumps(self._wanted))

    def up(self) -> str:
        """Update, and return what was printed."""
        return self.project.up()

    def found(self, *what: str) -> Any:
        """Return objects as the cluster has them."""
        return json.loads(self.cluster.kubectl("--namespace", self.namespace, "get", *what, "--output=json"))


@pytest.fixture
def stack(project: Project, cluster: RunningCluster, image: str, run_id: str) -> Iterator[Stack]:
    """The stack, which refreshes with every update; it and its namespace are gone at the end."""
    project.program(PROGRAM)
    settings = project.folder / "Pulumi.yaml"
    settings.write_text(settings.read_text() + REFRESHED)
    made = Stack(project, cluster, image, f"up-{run_id}")
    yield made
    project.run("destroy", "--yes", "--skip-preview", "--stack", project.stack)
    cluster.kubectl("delete", "namespace", made.namespace, "--ignore-not-found", "--wait=false")


def changes_nothing(printed: str) -> bool:
    """Say whether an update left all resources as they were."""
    return "unchanged" in printed and not any(f" {word}" in printed.partition("Resources:")[2] for word in NEITHER)


def test_a_stack_comes_up_stays_rolls_out_and_goes(stack: Stack) -> None:
    shown = stack.project.succeed("preview", "--stack", stack.project.stack)
    assert "8 to create" in shown
    assert stack.namespace not in stack.cluster.kubectl("get", "namespaces", "--output=name")

    first = stack.up()
    assert "8 created" in first
    secret = stack.found("secret", stack.project.outputs()["key"])
    assert base64.b64decode(secret["data"]["key"]).decode() == SECRET
    assert changes_nothing(stack.up())
    state = json.dumps(stack.project.deployment())
    assert SECRET not in first + state
    assert base64.b64encode(SECRET.encode()).decode() not in state

    old = stack.project.outputs()["settings"]
    stack.want(value="two")
    stack.up()
    new = stack.project.outputs()["settings"]
    assert new != old, "a ConfigMap gets another name, so that pods of both releases have theirs"
    status = stack.found("deployment", "web")["status"]
    assert status["updatedReplicas"] == status["availableReplicas"] == 1
    assert [item["metadata"]["name"] for item in stack.found("configmaps")["items"] if "settings" in
            item["metadata"]["name"]] == [new]  # fmt: skip
    assert changes_nothing(stack.up())

    stack.cluster.kubectl("--namespace", stack.namespace, "scale", "deployment/web", "--replicas=2")
    assert "conflict" in stack.project.fail("up", "--yes", "--skip-preview", "--stack", stack.project.stack)
    stack.cluster.kubectl("--namespace", stack.namespace, "delete", "deployment/web", "--wait=true")
    assert "1 created" in stack.up()
    assert stack.found("deployment", "web")["spec"]["replicas"] == 1

    stack.project.succeed("destroy", "--yes", "--skip-preview", "--stack", stack.project.stack)
    assert stack.namespace not in stack.cluster.kubectl("get", "namespaces", "--output=name")


def test_a_job_that_failed_is_told_of_and_run_again(stack: Stack) -> None:
    stack.want(job="echo no; exit 3")
    failed = stack.project.fail("up", "--yes", "--skip-preview", "--stack", stack.project.stack)
    assert "BackoffLimitExceeded" in failed
    assert "exit code 3" in failed
    assert "exited prematurely" not in failed
    again = stack.project.fail("up", "--yes", "--skip-preview", "--stack", stack.project.stack)
    assert "BackoffLimitExceeded" in again, "it is made anew, although nothing of the program changed"
    stack.want(job="exit 0")
    stack.up()
    assert changes_nothing(stack.up())
