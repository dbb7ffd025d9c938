"""Why pods are not ready is said in a person's words."""

from __future__ import annotations

from typing import Any

import pytest

from kubeapi.pods import PodTrouble, troubles, warning_of


def pod(**status: Any) -> dict[str, Any]:
    """Return a pod with this status, not ready."""
    conditions = status.pop("conditions", [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}])
    return {"metadata": {"name": "web-1"}, "status": {"phase": "Pending", "conditions": conditions, **status}}


def container(state: dict[str, Any], **row: Any) -> dict[str, Any]:
    """Return a container's status."""
    return {"name": "web", "state": state, "ready": False, **row}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            container({"waiting": {"reason": "ErrImagePull", "message": "no such host"}}),
            "pod web-1, container web: ErrImagePull: no such host",
        ),
        (
            container(
                {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, restartCount=2,
                lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            ),
            "pod web-1, container web: CrashLoopBackOff: back-off (ended with exit code 137; OOMKilled)",
        ),
        (
            container({"terminated": {"exitCode": 3, "reason": "Error"}}),
            "pod web-1, container web: Error: ended with exit code 3; Error",
        ),
        (container({"running": {}}), "pod web-1, container web: NotReady: its readiness probe has not passed"),
    ],
)  # fmt: skip
def test_a_container_tells_what_keeps_it(found: dict[str, Any], told: str) -> None:
    assert [str(trouble) for trouble in troubles(pod(containerStatuses=[found]))] == [told]


def test_a_pod_without_a_place_tells_the_schedulers_words() -> None:
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    found = troubles(pod(conditions=[unplaced]))
    assert [str(trouble) for trouble in found] == ["pod web-1: Unschedulable: 0/1 nodes"]


def test_an_evicted_pod_tells_why() -> None:
    found = troubles(pod(phase="Failed", reason="Evicted", message="The node was low on memory", conditions=[]))
    assert [str(trouble) for trouble in found] == ["pod web-1: Evicted: The node was low on memory"]


@pytest.mark.parametrize(
    "fine",
    [
        pod(phase="Succeeded"),
        pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}]),
    ],
)
def test_a_pod_that_is_ready_or_done_is_no_trouble(fine: dict[str, Any]) -> None:
    assert troubles(fine) == []


def test_an_init_container_that_is_done_is_no_trouble_and_one_that_fails_is() -> None:
    done = container({"terminated": {"exitCode": 0, "reason": "Completed"}})
    failed = {**container({"terminated": {"exitCode": 1, "reason": "Error"}}), "name": "wait"}
    starting = container({"waiting": {"reason": "PodInitializing"}})
    found = troubles(pod(initContainerStatuses=[done, failed], containerStatuses=[starting]))
    assert [trouble.container for trouble in found] == ["wait", "web"]


def test_last_lines_stand_below_the_trouble() -> None:
    trouble = PodTrouble("web-1", "web", "Error", "ended with exit code 1", ("first", "second"))
    assert str(trouble) == "pod web-1, container web: Error: ended with exit code 1\n    first\n    second"


def test_of_several_warnings_the_last_is_told() -> None:
    early = {"reason": "FailedMount", "message": "secret not found", "lastTimestamp": "2030-01-01T00:00:00Z"}
    late = {"reason": "FailedCreatePodSandBox", "message": "no image\n", "eventTime": "2030-01-01T00:00:05.000000Z"}
    assert warning_of([late, early]) == "FailedCreatePodSandBox: no image"
    assert warning_of([]) == ""
