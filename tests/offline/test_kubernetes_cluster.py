"""The Kubernetes plugin does on a real cluster what the official one was recorded to do there."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from tests.conftest import is_of_a_dead_run
from tests.kubernetes.cluster import RunningCluster, running_cluster
from tests.offline.kubernetes_plugin import Plugin, start
from tests.offline.kubernetes_recordings import DEVIATIONS, FILES, Case, cases, judge, scenarios
from tests.offline.kubernetes_stage import Kubectl, Played, Scenario, sleeper

AT_ONCE = 8
OWN_PLUGIN = "Deployment cancelled"
BY_REPLAY = ("check", "unreachable", "kubeconfig malformed", "token refused", "provider configuration", "client-side")
# How a container that ends at once, or has just begun, is seen is chance; and a claim without a class gets this
# cluster's default one, which the recorded cluster had not.
LEFT_OUT = frozenset(
    {"Deployment crashing", "StatefulSet crashing", "Job too slow", "PersistentVolumeClaim that stays pending"}
)
ALL = {
    name: found for name, found in scenarios(*FILES).items() if not name.startswith(BY_REPLAY) and name not in LEFT_OUT
}
LONGEST_FIRST = sorted(ALL, key=lambda name: -sum(case["seconds"] for case in ALL[name]))
OURS = re.compile(r"-(\d+)-(\d+)-[0-9a-f]{6}$")
MEGABYTE = 1024 * 1024


class Forwarder:
    """A port of its own that leads to a server until it is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Forwarder:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """End all connections and take no more."""
        for end in [self._listener, *self._ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)


class Stage:
    """The cluster, with the scenarios that a test run wants to see; several play at once."""

    def __init__(self, cluster: RunningCluster, image: str, run_id: str) -> None:
        self.cluster = cluster
        self.kubectl = Kubectl(cluster.kubectl_program, cluster.kubeconfig)
        self.image = image
        self.run_id = run_id
        self._lock = threading.Lock()
        self._plugins: dict[str, Plugin] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._playing: dict[str, Future[list[Played]]] = {}

    def begin(self, names: list[str]) -> None:
        """Begin to play scenarios."""
        for name in names:
            self._playing[name] = self._pool.submit(self._play, name)

    def played(self, name: str) -> list[Played]:
        """Return how a scenario went."""
        return self._playing[name].result()

    def plugin(self, **settings: Any) -> Plugin:
        """Return a plugin on the cluster with these settings."""
        given = {"kubeconfig": str(self.cluster.kubeconfig), **settings}
        key = json.dumps(given, sort_keys=True)
        with self._lock:
            if key not in self._plugins:
                self._plugins[key] = start(given)
            return self._plugins[key]

    def close(self) -> None:
        """Forget what has not begun yet, wait for the rest, and stop the plugins."""
        self._pool.shutdown(cancel_futures=True)
        for plugin in self._plugins.values():
            plugin.stop()

    def _play(self, name: str) -> list[Played]:
        found = ALL[name]
        settings = dict(found[0].get("config") or {})
        if name == OWN_PLUGIN:
            settings["namespace"] = "cancelled"  # its process takes no call afterwards
        plugin = self.plugin(**settings)
        return Scenario(found, self.kubectl, plugin, self.run_id, self.image, self._default_class()).play()

    def _default_class(self) -> str:
        listed = json.loads(self.kubectl.run("get", "storageclasses", "--output=json"))["items"]
        mark = "storageclass.kubernetes.io/is-default-class"
        named = [item["metadata"]["name"] for item in listed if (item["metadata"].get("annotations") or {}).get(mark)]
        return str(named[0]) if named else ""


@pytest.fixture(scope="module")
def cluster() -> RunningCluster:
    """The tests' cluster, without the namespaces of runs that were killed."""
    found = running_cluster()
    for line in found.kubectl("get", "namespaces", "--output=name").split():
        name = line.partition("/")[2]
        match = OURS.search(name)
        if match and is_of_a_dead_run(f"{match[1]}-{match[2]}") and not name.startswith("scaffold-"):
            found.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
    return found


@pytest.fixture(scope="module")
def image(cluster: RunningCluster) -> str:
    """An image in the cluster's registry that can sleep."""
    return sleeper(cluster.registry)


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, cluster: RunningCluster, image: str, run_id: str) -> Iterator[Stage]:
    """The stage, on which the scenarios of the tests that were asked for play."""
    wanted = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    made = Stage(cluster, image, run_id)
    made.begin([name for name in LONGEST_FIRST if name in wanted])
    yield made
    made.close()


@pytest.fixture
def namespace(stage: Stage, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of a test's own."""
    name = f"own-{abs(hash(request.node.name)) % 10**6}-{stage.run_id}"
    stage.kubectl.run("create", "namespace", name)
    yield name
    stage.kubectl.run("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_recorded_scenario_goes_as_recorded(stage: Stage, name: str) -> None:
    played = stage.played(name)
    different = [f"{one.case['name']}:\n  " + "\n  ".join(one.found) for one in played
                 if one.found and one.case["name"] not in DEVIATIONS]  # fmt: skip
    assert not different, "\n".join(different)
    for one in played:
        judge(one.case, one.found)


@pytest.mark.parametrize("name", ["Service without selector", "ExternalName Service", "Job skipAwait"])
def test_what_is_not_waited_for_is_done_at_once(stage: Stage, name: str) -> None:
    creations = [one for one in stage.played(name) if one.case["rpc"] == "Create"]
    assert creations
    assert all(one.seconds < 5 for one in creations), [one.seconds for one in creations]


@pytest.mark.parametrize("name", ["Job that fails", "Deployment waitFor malformed"])
def test_what_has_failed_for_good_is_not_waited_for_any_longer(stage: Stage, name: str) -> None:
    failures = [one for one in stage.played(name) if one.case["rpc"] == "Create" and "error" in one.answer]
    assert failures
    for one in failures:
        assert one.seconds < one.case["request"]["timeout"]


def test_a_token_that_is_refused_is_met_as_recorded(stage: Stage) -> None:
    given = yaml.safe_load(stage.cluster.kubeconfig.read_text())
    given["users"] = [{"name": user["name"], "user": {"token": "refused"}} for user in given["users"]]
    plugin = start({"kubeconfig": json.dumps(given)})
    try:
        for case in cases("unreachable"):
            if case["scenario"] == "token refused":
                answer = plugin.ask(case["rpc"], case["request"])
                wanted = _without_cause(case)
                assert _without_cause(answer) == wanted if "error" in case else "error" not in answer, case["name"]
    finally:
        plugin.stop()


def _without_cause(answer: Case | dict[str, Any]) -> tuple[str, str]:
    """Return what an error says before its cause, which each client words itself."""
    error = answer.get("error") or {}
    return error.get("code", ""), error.get("message", "").partition(": ")[0]


def test_a_version_that_the_server_no_longer_serves_is_warned_about(stage: Stage) -> None:
    case = next(case for case in cases("check") if case["name"] == "a removed API version is warned about")
    logs = stage.plugin().ask("Check", case["request"])["logs"]
    assert [(entry["severity"], entry["message"]) for entry in logs] == [
        (entry["severity"], entry["message"]) for entry in case["logs"]
    ]


def test_an_update_is_over_only_when_the_pods_are_the_new_ones(stage: Stage, namespace: str) -> None:
    """Also when the cluster has been watched before, which the official provider was recorded to be confused by."""
    urn = "urn:pulumi:dev::demo::kubernetes:apps/v1:Deployment::app"
    plugin = stage.plugin()
    made = plugin.ask("Create", {"urn": urn, "properties": deployment(namespace, stage.image, "0")})
    assert "error" not in made
    for turn in ("1", "2", "3"):
        wanted = deployment(namespace, stage.image, turn)
        made = plugin.ask(
            "Update", {"urn": urn, "id": f"{namespace}/app", "olds": made["properties"], "news": wanted}
        )  # fmt: skip
        assert "error" not in made
        status, metadata = made["properties"]["status"], made["properties"]["metadata"]
        assert status["observedGeneration"] == metadata["generation"]
        assert status["updatedReplicas"] == status["availableReplicas"] == 1
        pods = json.loads(stage.kubectl.run("--namespace", namespace, "get", "pods", "--output=json"))["items"]
        ready = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        assert [pod["spec"]["containers"][0]["env"][0]["value"] for pod in ready] == [turn]


def test_an_object_is_recorded_though_the_cluster_goes_away_while_it_is_waited_for(
    stage: Stage, namespace: str
) -> None:
    """Otherwise the next update would find it in its way."""
    with Forwarder(stage.cluster.api_port) as forwarder:
        given = yaml.safe_load(stage.cluster.kubeconfig.read_text())
        given["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{forwarder.port}"
        plugin = start({"kubeconfig": json.dumps(given)})
        try:
            wanted = deployment(namespace, "images.invalid/none:1", "0")
            urn = "urn:pulumi:dev::demo::kubernetes:apps/v1:Deployment::app"
            threading.Timer(3.0, forwarder.cut).start()
            failed = plugin.ask("Create", {"urn": urn, "properties": wanted, "timeout": 120})["error"]
        finally:
            plugin.stop()
    assert "was successfully created, but" in failed["message"]
    assert failed["initFailed"]["id"] == f"{namespace}/app"
    assert failed["initFailed"]["properties"]["metadata"]["uid"]


def test_a_claim_is_waited_for_as_long_as_was_asked(stage: Stage, namespace: str) -> None:
    """The official provider waits five minutes, whatever it was asked."""
    urn = "urn:pulumi:dev::demo::kubernetes:core/v1:PersistentVolumeClaim::data"
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {
            "storageClassName": "nobodys",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    failed = stage.plugin().ask("Create", {"urn": urn, "properties": wanted, "timeout": 2})["error"]
    assert failed["message"].endswith("'data' timed out waiting to be Ready")
    assert "its storage class nobodys" in failed["initFailed"]["reasons"][1]


def test_the_state_of_a_failure_is_told_however_large_it_is(stage: Stage, namespace: str) -> None:
    """It comes in the trailers of an answer, for which clients have their own limits."""
    urn = "urn:pulumi:dev::demo::kubernetes:batch/v1:Job::app"
    wanted: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "app", "namespace": namespace, "annotations": {"large": "x" * (MEGABYTE // 16)}},
        "spec": {"backoffLimit": 0, "template": pod(stage.image, ["false"])},
    }
    failed = stage.plugin().ask("Create", {"urn": urn, "properties": wanted, "timeout": 60})["error"]["initFailed"]
    assert failed["id"] == f"{namespace}/app"
    assert failed["properties"]["metadata"]["annotations"] == wanted["metadata"]["annotations"]
    assert any("BackoffLimitExceeded" in reason for reason in failed["reasons"])
    assert any("exit code 1" in reason for reason in failed["reasons"])


def test_a_preview_shows_what_was_asked_for_to_a_user_who_may_not_change_it(stage: Stage, namespace: str) -> None:
    """Who may look at the objects of a stack may look at what an update would do to them."""
    stage.kubectl.run("--namespace", namespace, "create", "serviceaccount", "reader")
    stage.kubectl.run(
        "--namespace", namespace, "create", "rolebinding", "reader", "--clusterrole=view",
        f"--serviceaccount={namespace}:reader",
    )  # fmt: skip
    given = yaml.safe_load(stage.cluster.kubeconfig.read_text())
    token = stage.kubectl.run("--namespace", namespace, "create", "token", "reader").strip()
    given["users"] = [{"name": user["name"], "user": {"token": token}} for user in given["users"]]
    urn = "urn:pulumi:dev::demo::kubernetes:core/v1:ConfigMap::settings"
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": namespace}}
    made = stage.plugin().ask("Create", {"urn": urn, "properties": {**head, "data": {"a": "b"}}})
    plugin = start({"kubeconfig": json.dumps(given)})
    wanted = {**head, "data": {"a": "c"}}
    request = {"urn": urn, "id": f"{namespace}/settings", "olds": made["properties"], "news": wanted}
    try:
        assert plugin.ask("Update", {**request, "preview": True})["properties"] == wanted
        assert "is forbidden" in plugin.ask("Update", request)["error"]["message"]
    finally:
        plugin.stop()


def test_all_metadata_can_be_ignored(stage: Stage, namespace: str) -> None:
    """The official provider then sends those that nobody may write, which the server refuses."""
    urn = "urn:pulumi:dev::demo::kubernetes:core/v1:ConfigMap::settings"
    names = {"name": "settings", "namespace": namespace}
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": names}
    plugin = stage.plugin()
    made = plugin.ask("Create", {"urn": urn, "properties": {**head, "data": {"a": "b"}}})
    wanted = {**head, "metadata": {**names, "labels": {"x": "y"}}, "data": {"a": "c"}}
    request = {"urn": urn, "id": f"{namespace}/settings", "olds": made["properties"], "news": wanted}
    changed = plugin.ask("Update", {**request, "ignoreChanges": ["metadata"]})["properties"]
    assert changed["data"] == {"a": "c"}
    assert "labels" not in changed["metadata"]


@pytest.mark.parametrize("rpc", ["Create", "Update"])
def test_a_kind_that_the_cluster_does_not_serve_is_told_with_what_to_look_for(stage: Stage, rpc: str) -> None:
    urn = "urn:pulumi:dev::demo::kubernetes:example.com/v1:Thing::one"
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "one"}}
    request = {"urn": urn, "id": "one", "olds": thing, "news": thing, "properties": thing, "timeout": 1}
    asked = {"Create": ("urn", "properties", "timeout"), "Update": ("urn", "id", "olds", "news", "timeout")}[rpc]
    failed = stage.plugin().ask(rpc, {key: request[key] for key in asked})["error"]["message"]
    assert "the apiVersion for this resource does not exist. Verify that any required CRDs have been created" in failed
    assert failed.endswith('no matches for kind "Thing" in version "example.com/v1"')


def test_a_preview_of_a_replacement_foresees_it_whatever_of_the_object_cannot_change(
    stage: Stage, namespace: str
) -> None:
    """The official provider foresees only what the server calls a `field`, and tells of another name."""
    urn = "urn:pulumi:dev::demo::kubernetes:core/v1:PersistentVolumeClaim::data"

    def claim(mode: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": "data", "namespace": namespace, "annotations": {"pulumi.com/skipAwait": "true"},
            },
            "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Mi"}}},
        }  # fmt: skip

    plugin = stage.plugin(upsertExistingObjects="true")
    assert "error" not in plugin.ask("Create", {"urn": urn, "properties": claim("ReadWriteOnce")})
    found = plugin.ask("Create", {"urn": urn, "properties": claim("ReadWriteMany"), "preview": True})["properties"]
    assert found["metadata"]["name"] == "data"
    assert found["spec"]["accessModes"] == ["ReadWriteMany"]
    refused = plugin.ask("Create", {"urn": urn, "properties": claim("Nonsense"), "preview": True})["error"]["message"]
    assert '"data" is invalid' in refused
    assert "immutable" not in refused, "which is not what keeps the replacement from being made"


def test_a_kind_of_the_clusters_own_is_known_once_it_is_there(stage: Stage, namespace: str) -> None:
    """A custom object waits for its definition, keeps its fields, and has a namespace only if the server says so."""
    group = f"t{abs(hash(namespace)) % 10**6}.example.com"
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group, "scope": "Cluster", "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "versions": [
                {
                    "name": "v1", "served": True, "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x_kubernetes_preserve_unknown_fields": True}},
                }
            ],
        },
    }  # fmt: skip
    thing = {
        "apiVersion": f"{group}/v1",
        "kind": "Thing",
        "metadata": {"name": "one"},
        "spec": {"size": 1.5, "on": False},
    }
    plugin = stage.plugin()
    answers: list[dict[str, Any]] = []
    thing_urn = f"urn:pulumi:dev::demo::kubernetes:{group}/v1:Thing::one"
    early = threading.Thread(
        target=lambda: answers.append(plugin.ask("Create", {"urn": thing_urn, "properties": thing, "timeout": 60}))
    )
    early.start()
    urn = "urn:pulumi:dev::demo::kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition::things"
    made = plugin.ask("Create", {"urn": urn, "properties": definition})
    try:
        assert made["properties"]["__inputs"] == definition
        early.join()
        assert answers[0].get("id") == "one", answers
        checked = plugin.ask("Check", {"urn": thing_urn, "news": thing})["inputs"]
        assert checked == thing
        state = answers[0]["properties"]
        assert (
            plugin.ask("Diff", {"urn": thing_urn, "id": "one", "olds": state, "news": checked})["changes"]
            == "DIFF_NONE"
        )
    finally:
        gone = plugin.ask("Delete", {"urn": urn, "id": f"things.{group}", "properties": made["properties"]})
    assert "error" not in gone


def deployment(namespace: str, image: str, value: str) -> dict[str, Any]:
    """Return a Deployment of one pod with an environment variable of this value."""
    template = pod(image, ["sleep", "infinity"])
    template["metadata"] = {"labels": {"app": "app"}}
    template["spec"]["restartPolicy"] = "Always"
    template["spec"]["containers"][0]["env"] = [{"name": "V", "value": value}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "app"}}, "template": template},
    }


def pod(image: str, command: list[str]) -> dict[str, Any]:
    """Return the template of a pod that runs one command and stops at once."""
    container: dict[str, Any] = {"name": "main", "image": image, "command": command}
    return {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}}
