"""The tests' cluster answers, is left alone by a second start, and comes back when it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request

import pytest

from cluster import process
from cluster.commands import NAMES
from cluster.layout import Layout
from cluster.start import start
from setup.terminal import Silent
from tests.cluster.places import places_of_tests
from tests.cluster.pods import Namespace
from tests.conftest import until
from tests.kubernetes.cluster import RunningCluster


def started(layout: Layout) -> dict[str, tuple[int, str]]:
    """Return number and start time of every process of the cluster."""
    found = {name: process.record_of(layout.records, name) for name in NAMES}
    return {name: (record.pid, record.started) for name, record in found.items() if record and record.alive}


def up(layout: Layout) -> None:
    start(layout.shape, places_of_tests(), os.environ, Silent())


def test_a_second_start_changes_nothing_and_is_quick(running: RunningCluster, layout: Layout) -> None:
    up(layout)
    before = started(layout)
    versions = versions_of(running)
    stamp = (layout.runtime / "network").stat().st_mtime_ns
    began = time.monotonic()
    up(layout)
    seconds = time.monotonic() - began
    assert set(before) == set(NAMES)
    assert started(layout) == before
    assert (layout.runtime / "network").stat().st_mtime_ns == stamp
    assert versions_of(running) == versions
    assert seconds < 15, "nothing had to be started"


def versions_of(running: RunningCluster) -> str:
    """Return the versions of objects that nobody else has a reason to change."""
    objects = ["configmap/coredns", "service/kube-dns", "serviceaccount/coredns"]
    return running.kubectl(
        "get", "--namespace=kube-system", *objects, "--output=jsonpath={.items[*].metadata.resourceVersion}"
    )


@pytest.mark.parametrize(
    "names",
    [["kube-apiserver"], ["kubelet", "keeper"], ["etcd", "kube-controller-manager", "kube-proxy", "docker-registry"]],
    ids=["the API", "the node", "the rest"],
)
def test_what_was_killed_comes_back_with_the_next_start(
    running: RunningCluster, layout: Layout, names: list[str]
) -> None:
    before = started(layout)
    for name in names:
        os.kill(before[name][0], signal.SIGKILL)
    until(lambda: not any(process.alive(layout.records, name) for name in names), "the end", 10)
    up(layout)
    after = started(layout)
    assert set(after) == set(NAMES)
    assert all(after[name] != before[name] for name in names)
    assert {name: after[name] for name in NAMES if name not in names} == {
        name: before[name] for name in NAMES if name not in names
    }
    assert "Ready" in running.kubectl("get", "nodes")


def test_a_claim_is_given_a_volume_that_outlives_its_pod(namespace: Namespace, image: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept", "namespace": namespace.name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    mounted = {
        "volumes": [{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}],
        "restartPolicy": "Never",
        "container": {"volumeMounts": [{"name": "kept", "mountPath": "/kept"}]},
    }
    finished = "--for=jsonpath={.status.phase}=Succeeded"
    namespace.apply(claim, namespace.pod("writes", image, "keep", "/kept/file", "kept words", **dict(mounted)))
    namespace.kubectl("wait", finished, "pod/writes", "--timeout=60s")
    namespace.remove("pod", "writes")
    namespace.apply(namespace.pod("reads", image, "keep", "/kept/file", **dict(mounted)))
    namespace.kubectl("wait", finished, "pod/reads", "--timeout=60s")
    assert namespace.log("reads") == "kept words"
    folder = json.loads(namespace.kubectl("get", "persistentvolumes", "--output=json"))["items"]
    mine = [each for each in folder if each["spec"]["claimRef"]["namespace"] == namespace.name]
    assert len(mine) == 1
    namespace.remove("pod", "reads")
    namespace.remove("persistentvolumeclaim", "kept")
    until(
        lambda: mine[0]["metadata"]["name"] not in namespace.kubectl("get", "persistentvolumes", "--output=name"),
        "the end of the volume",
    )


def test_a_node_port_answers_on_this_machine_until_its_service_is_gone(namespace: Namespace, image: str) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "outside", "namespace": namespace.name},
        "spec": {"type": "NodePort", "selector": {"app": "outside"}, "ports": [{"port": 80, "targetPort": 8000}]},
    }
    namespace.apply(namespace.pod("outside", image, "serve", "8000"), service)
    namespace.until_ready("outside")
    port = int(namespace.kubectl("get", "service", "outside", "--output=jsonpath={.spec.ports[0].nodePort}"))

    def answer() -> str:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/", timeout=2) as found:
                return str(found.read().decode().strip())
        except OSError:
            return ""

    until(lambda: answer() != "", "an answer", 10)
    namespace.remove("service/outside", "pod/outside")
    until(lambda: answer() == "", "the end of the answers", 10)


def test_names_are_known_inside(namespace: Namespace, image: str) -> None:
    namespace.apply(namespace.pod("asks", image, "serve", "8000"))
    namespace.until_ready("asks")
    assert namespace.run("asks", "look", "kubernetes.default.svc.cluster.local") == "10.88.128.1\n"


def test_a_pod_that_asks_for_too_much_is_refused(namespace: Namespace, image: str) -> None:
    greedy = namespace.pod("greedy", image, "serve", "80", container={"securityContext": {"privileged": True}})
    done = subprocess.run(
        [*namespace.cluster.command, "apply", "--filename=-"],
        input=json.dumps(greedy), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted' in done.stderr


def test_rights_are_checked(running: RunningCluster) -> None:
    asked = ["auth", "can-i", "list", "secrets", "--as=system:serviceaccount:default:default"]
    done = subprocess.run([*running.command, *asked], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.strip() == "no"
