"""When a rollout is done, when there is hope, and when there is none: decided on what the cluster says."""

from __future__ import annotations

from typing import Any

import pytest

from infra.platforms.kubernetes import progress
from infra.platforms.kubernetes.progress import Watched


def deployment(**status: int) -> dict[str, Any]:
    """Return a Deployment of two pods, at its second generation."""
    seen = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    return {"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": {**seen, **status}}


def stateful_set(**status: int) -> dict[str, Any]:
    """Return a StatefulSet of one pod."""
    seen = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    return {"kind": "StatefulSet", "metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {**seen, **status}}


def job(*conditions: str, active: int = 0) -> dict[str, Any]:
    """Return a Job in some conditions."""
    rows = [{"type": kind, "status": "True", "reason": "R", "message": "m"} for kind in conditions]
    return {"kind": "Job", "metadata": {"generation": 1}, "spec": {}, "status": {"conditions": rows, "active": active}}


def pod(state: dict[str, Any], restarts: int = 0, **metadata: str) -> dict[str, Any]:
    """Return a pod that is not ready, with one container in a state."""
    row = {"name": "web", "restartCount": restarts, "state": state, "ready": False}
    conditions = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
    return {
        "metadata": {"name": "web-1", "uid": "1", **metadata},
        "status": {"phase": "Pending", "conditions": conditions, "containerStatuses": [row]},
    }


def waiting(reason: str, restarts: int = 0) -> dict[str, Any]:
    """Return a pod whose container waits for a reason."""
    return pod({"waiting": {"reason": reason}}, restarts)


@pytest.mark.parametrize(
    "live", [deployment(), deployment(replicas=1, updatedReplicas=2), stateful_set(), job("Complete")]
)
def test_what_is_rolled_out_is_done(live: dict[str, Any]) -> None:
    assert progress.of(live).done


@pytest.mark.parametrize(
    "live",
    [
        # Not seen yet: the numbers are those of the version before.
        deployment(observedGeneration=1),
        stateful_set(observedGeneration=1),
        # Enough pods are ready, but one of them is of the version before.
        deployment(replicas=3, updatedReplicas=2, availableReplicas=2),
        deployment(updatedReplicas=1),
        deployment(availableReplicas=1),
        stateful_set(updatedReplicas=0),
        stateful_set(readyReplicas=0),
        job(active=1),
        {"kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 1}},
    ],
)
def test_what_is_under_way_is_not_done_and_has_not_failed(live: dict[str, Any]) -> None:
    found = progress.of(live)
    assert not found.done
    assert found.failed == ""


@pytest.mark.parametrize("kind", ["Failed", "FailureTarget"])
def test_a_failed_job_is_told_with_its_reason(kind: str) -> None:
    assert progress.of(job(kind)).failed == "R: m"


def test_pods_that_may_not_be_made_are_told() -> None:
    live = deployment()
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    live["status"]["conditions"] = [refused]
    assert progress.blocked(live) == "FailedCreate: exceeded quota"
    assert progress.blocked(deployment()) == ""


def failed_create(version: str, said: str, seen: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    """Return the event that the cluster keeps of a pod that it would not make."""
    meta = {"resourceVersion": version}
    return {"metadata": meta, "reason": "FailedCreate", "message": said, "lastTimestamp": seen}


def test_a_pod_that_is_refused_is_told_by_the_newest_word_of_it_and_old_words_tell_nothing() -> None:
    old, new = failed_create("7", "no room"), failed_create("9", "exceeded quota", "2026-01-01T00:00:05Z")
    assert progress.refused([new, old]) == "FailedCreate: exceeded quota"
    assert progress.refused([old], heard={"7"}) == ""
    assert progress.refused([]) == ""


def test_a_container_that_crashed_once_gets_another_turn_and_one_that_goes_on_does_not() -> None:
    watched = Watched(ready_seconds=1000)
    assert watched.hopeless([waiting("CrashLoopBackOff", restarts=1)], 0) == ""
    assert "web-1" in watched.hopeless([waiting("CrashLoopBackOff", restarts=2)], 1)


@pytest.mark.parametrize("reason", ["ErrImagePull", "CreateContainerConfigError"])
def test_what_may_mend_itself_is_given_a_while(reason: str) -> None:
    watched = Watched(ready_seconds=1000)
    assert watched.hopeless([waiting(reason)], 0) == ""
    assert watched.hopeless([waiting("ImagePullBackOff")], progress.PATIENCE_SECONDS - 1) == ""
    assert "web-1" in watched.hopeless([waiting(reason)], progress.PATIENCE_SECONDS + 1)


def test_trouble_that_went_away_is_forgotten() -> None:
    watched = Watched(ready_seconds=1000)
    watched.hopeless([waiting("ErrImagePull")], 0)
    watched.hopeless([waiting("ContainerCreating")], 10)
    assert watched.hopeless([waiting("ErrImagePull")], progress.PATIENCE_SECONDS + 1) == ""


def test_an_image_that_has_no_name_is_given_up_at_once() -> None:
    assert "InvalidImageName" in Watched(1000).hopeless([waiting("InvalidImageName")], 0)


def test_a_pod_that_waits_for_a_node_or_its_image_has_as_long_as_it_needs_to_be_ready() -> None:
    watched = Watched(ready_seconds=10)
    assert watched.hopeless([waiting("ContainerCreating")], 0) == ""
    assert watched.hopeless([waiting("ContainerCreating")], 200) == ""
    running = pod({"running": {}})
    assert watched.hopeless([running], 200) == ""
    assert watched.hopeless([running], 209) == ""
    assert watched.hopeless([running], 211) == "pod web-1 runs, and was not ready within 10 s"


def test_a_pod_that_was_started_again_is_judged_by_whether_it_crashes() -> None:
    watched = Watched(ready_seconds=10)
    again = pod({"running": {}}, restarts=1)
    assert watched.hopeless([again], 0) == ""
    assert watched.hopeless([again], 40) == ""
    assert "was not ready" in watched.hopeless([again], 10 + 2 * 10 + progress.PATIENCE_SECONDS + 1)


def unhealthy(said: str, uid: str = "1") -> dict[str, Any]:
    """Return the event that the cluster keeps of a probe that failed, as the kubelet writes it."""
    return {"involvedObject": {"kind": "Pod", "uid": uid}, "reason": "Unhealthy", "message": said}


def test_an_image_without_what_a_release_is_asked_is_given_up_with_what_to_do() -> None:
    told = f"Readiness probe failed: {progress.answered('/readyz', '404')}\n"
    said = progress.lacking([pod({"running": {}})], [unhealthy("Readiness probe failed: "), unhealthy(told)])
    assert said.startswith("pod web-1: its image has no /readyz: it answered 404, wanted status 200")
    assert "make rollback" in said


@pytest.mark.parametrize(
    "event",
    [
        unhealthy(f"Readiness probe failed: {progress.answered('/readyz', '404')}", uid="of another pod"),
        unhealthy(f"Readiness probe failed: {progress.answered('/readyz', '401')}"),
        unhealthy("Readiness probe failed: "),
        unhealthy("Readiness probe errored: rpc error: code = NotFound desc = 404"),
        {"message": None},
    ],
)
def test_any_other_word_of_a_probe_leaves_hope(event: dict[str, Any]) -> None:
    assert progress.lacking([pod({"running": {}})], [event]) == ""


def test_only_a_pod_that_runs_and_is_not_ready_is_looked_at_for_it() -> None:
    ready = pod({"running": {}})
    ready["status"]["conditions"][0]["status"] = "True"
    assert progress.is_probed(pod({"running": {}}))
    assert not progress.is_probed(ready)
    assert not progress.is_probed(waiting("ContainerCreating"))
    assert not progress.is_probed(pod({"running": {}}, deletionTimestamp="now"))


def test_a_pod_on_its_way_out_is_nobodys_trouble() -> None:
    leaving = pod({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=9, deletionTimestamp="now")
    assert Watched(1).hopeless([leaving], 100) == ""
