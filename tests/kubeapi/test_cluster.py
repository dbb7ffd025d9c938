"""The client on a real cluster: what it asks, how it watches, and what failing pods last said."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from kubeapi import kubeconfig, pods, watch
from kubeapi.client import MERGE_PATCH, Client
from kubeapi.discovery import Discovery, known_kinds
from kubeapi.errors import CONFLICT, INVALID, UNAUTHORIZED, ApiError, SlowError, UnreachableError
from tests.kubernetes.cluster import RunningCluster
from tests.offline.kubernetes_stage import sleeper

SECONDS = 90.0
PAUSE_SECONDS = 0.1


def config_map(name: str, **data: str) -> dict[str, Any]:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_objects_are_made_read_changed_and_removed(client: Client, namespace: str) -> None:
    found = Discovery(client).resource("v1", "ConfigMap")
    assert found is not None
    assert found.namespaced
    client.post(found.collection(namespace), config_map("one", a="b"))
    with pytest.raises(ApiError) as again:
        client.post(found.collection(namespace), config_map("one"))
    assert (again.value.status, again.value.reason) == (CONFLICT, "AlreadyExists")
    changed = client.patch(found.item("one", namespace), {"data": {"a": "c"}}, MERGE_PATCH)
    assert changed["data"] == {"a": "c"}
    assert client.put(found.item("one", namespace), {**changed, "data": {"d": "e"}})["data"] == {"d": "e"}
    client.delete(found.item("one", namespace))
    with pytest.raises(ApiError, match='configmaps "one" not found') as gone:
        client.get(found.item("one", namespace))
    assert gone.value.gone


def test_what_the_server_refuses_comes_in_its_words(client: Client, namespace: str) -> None:
    with pytest.raises(ApiError, match="a lowercase RFC 1123 subdomain") as refused:
        client.post(f"/api/v1/namespaces/{namespace}/configmaps", config_map("Not_A_Name"))
    assert refused.value.status == INVALID
    assert refused.value.details["name"] == "Not_A_Name"


def test_who_is_not_let_in_and_what_is_not_there_are_told_apart(cluster: RunningCluster) -> None:
    access = kubeconfig.load(str(cluster.kubeconfig))
    other = replace(access, certificate="", key="", token="not-a-token-of-this-cluster")
    with closing(Client(other)) as stranger, pytest.raises(ApiError) as refused:
        stranger.get("/api/v1/namespaces")
    assert refused.value.status == UNAUTHORIZED
    begun = time.monotonic()
    nowhere = Client(replace(access, server="https://127.0.0.1:1"))
    with closing(nowhere), pytest.raises(UnreachableError, match=r"https://127\.0\.0\.1:1 cannot be reached"):
        nowhere.get("/api/v1")
    assert time.monotonic() - begun < 5


def test_another_authority_is_not_trusted(cluster: RunningCluster) -> None:
    access = kubeconfig.load(str(cluster.kubeconfig))
    with closing(Client(replace(access, authority=""))) as made, pytest.raises(UnreachableError, match="certificate"):
        made.get("/api/v1")


def test_a_call_ends_in_time(client: Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    with pytest.raises(SlowError, match="did not answer in time"):
        client.text(path, {"watch": True, "fieldSelector": "metadata.name=never"}, seconds=0.5)


def test_the_kinds_of_a_cluster_are_known(client: Client) -> None:
    found = {(kind.api_version, kind.kind): kind for kind in known_kinds(client)}
    assert found["apps/v1", "Deployment"].plural == "deployments"
    assert not found["v1", "Namespace"].namespaced
    assert Discovery(client).resource("v1", "Nonsense") is None
    assert Discovery(client).resource("nonsense.example.com/v1", "Nonsense") is None


def test_a_watch_tells_each_state_and_ends_when_asked(client: Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    ended = threading.Event()
    states = watch.states(client, path, {"labelSelector": "watched=yes"}, ended.is_set, silence=2.0)
    assert next(states) == {}
    made = {**config_map("watched"), "metadata": {"name": "watched", "labels": {"watched": "yes"}}}
    client.post(path, made)
    assert until(lambda: "watched" in next(states))
    client.delete(f"{path}/watched")
    assert until(lambda: "watched" not in next(states))
    ended.set()
    assert len(list(states)) <= 1


def until(condition: Any) -> bool:
    """Say whether a condition comes true in time."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(PAUSE_SECONDS)
    return False


@pytest.fixture(scope="module")
def failed(cluster: RunningCluster, client: Client, namespace: str) -> dict[str, str]:
    """The labels of a pod that said something and failed, twice."""
    labels = {"app": "failing"}
    command = ["sh", "-c", "for n in 1 2 3; do echo line $n; done; exit 7"]
    container = {"name": "main", "image": sleeper(cluster.registry), "command": command}
    made = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "failing", "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }  # fmt: skip
    client.post(f"/api/v1/namespaces/{namespace}/pods", made)

    def restarted() -> bool:
        rows = pods.list_pods(client, namespace, labels)[0]["status"].get("containerStatuses") or [{}]
        return bool(rows[0].get("restartCount"))

    assert until(restarted)
    return labels


def test_a_failing_pod_tells_its_last_lines(client: Client, namespace: str, failed: dict[str, str]) -> None:
    found = pods.reasons(client, namespace, failed, lines=2)
    assert [(trouble.pod, trouble.container) for trouble in found] == [("failing", "main")]
    assert found[0].last_lines == ("line 2", "line 3")
    assert "line 3" in str(found[0])


def test_the_log_of_a_container_that_was_removed_is_none(
    client: Client, namespace: str, failed: dict[str, str]
) -> None:
    gone = pods.PodTrouble("failing", "main", "CrashLoopBackOff", "", restarted=True)
    assert not any("unable to retrieve" in line for line in pods.last_lines(client, namespace, gone))


def test_a_log_is_followed_to_its_end(client: Client, namespace: str, failed: dict[str, str]) -> None:
    with pods.followed_log(client, namespace, "failing", "main", 10) as lines:
        assert next(iter(lines)) == "line 1"


def test_a_cluster_that_does_not_answer_has_no_reasons(cluster: RunningCluster) -> None:
    access = replace(kubeconfig.load(str(cluster.kubeconfig)), server="https://127.0.0.1:1")
    with closing(Client(access)) as away:
        assert pods.reasons(away, "default", {"app": "web"}) == []
