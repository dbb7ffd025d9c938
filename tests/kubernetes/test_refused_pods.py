"""A pod that the cluster refuses to make is told by the wait for it, in the cluster's own words."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from infra.platforms.kubernetes import progress
from infra.platforms.kubernetes.waiting import Hopeless, Watch
from kubeapi import kubeconfig
from kubeapi.client import Client
from tests.kubernetes.cluster import RunningCluster

PREFIX = "refused-pods-"
PATIENCE_SECONDS = 3.0
POD = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a.example.com/never-pulled"}]}
LABELS = {"app": "refused"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {**POD, "restartPolicy": "Always"}}
QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "refused"}, "spec": {"template": {"spec": POD}}}
OF_A_SERVICE = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}
STATEFUL_SET = {
    "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "refused"},
    "spec": {"serviceName": "refused", **OF_A_SERVICE},
}  # fmt: skip
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "refused"}, "spec": OF_A_SERVICE}


@pytest.fixture
def namespace(cluster: RunningCluster, run_id: str) -> Iterator[str]:
    """A namespace in which no pod may be made."""
    cluster.remove_what_dead_runs_left(PREFIX)
    name = f"{PREFIX}{run_id}"
    cluster.kubectl("create", "namespace", name)
    try:
        apply(cluster, name, QUOTA)
        cluster.kubectl("wait", "resourcequota/none", f"--namespace={name}", "--for=jsonpath={.status.hard.pods}=0")
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def apply(cluster: RunningCluster, namespace: str, thing: dict[str, Any]) -> None:
    """Make an object in the namespace."""
    command = [*cluster.command, "--namespace", namespace, "apply", "--filename=-"]
    subprocess.run(command, input=json.dumps(thing), text=True, check=True, capture_output=True, timeout=60)


def look_on(watch: Watch) -> None:
    """Look at an object for longer than the wait for it should last."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        watch.look()
        time.sleep(0.1)


def test_a_quota_that_refuses_a_pod_is_told_whatever_was_to_run_in_it(
    cluster: RunningCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", PATIENCE_SECONDS)
    with closing(Client(kubeconfig.load(str(cluster.kubeconfig)))) as client:
        for made in (STATEFUL_SET, JOB, DEPLOYMENT):
            apply(cluster, namespace, made)
            with pytest.raises(Hopeless, match=r"^FailedCreate: .*exceeded quota: none, requested: pods=1"):
                look_on(Watch(client, str(made["kind"]), namespace, "refused", 300))
