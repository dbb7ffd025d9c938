"""Waits until an object is ready, by its kind or by its annotation, and says why one is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeapi.discovery import Resource
from kubeapi.errors import ApiError
from kubeapi.watch import Follower
from offline.kubernetes.annotations import SKIP_AWAIT, WAIT_FOR, annotation, is_set, seconds
from offline.kubernetes.call import Call
from offline.kubernetes.cluster import Cluster, name_of, namespace_of
from offline.kubernetes.readiness import claim, deployment, job, service, statefulset, wait_for
from offline.kubernetes.readiness.verdict import Verdict

TURN_SECONDS = 1.0

Object = Mapping[str, Any]


class NotReadyError(Exception):
    """An object did not become ready; `live` is what it was last seen as."""

    def __init__(self, message: str, reasons: Sequence[str], live: Object) -> None:
        super().__init__(message)
        self.message = message
        self.reasons = list(reasons)
        self.live = live


@dataclass(frozen=True)
class Sight:
    """One look: the object, and what belongs to it, by name of the collection."""

    thing: Object
    pods: list[Object]
    slices: list[Object]


Judge = Callable[[Sight], Verdict]

JUDGES: dict[str, Judge] = {
    "Deployment": lambda sight: deployment.judge(sight.thing, sight.pods),
    "StatefulSet": lambda sight: statefulset.judge(sight.thing, sight.pods),
    "Job": lambda sight: job.judge(sight.thing, sight.pods),
    "Service": lambda sight: service.judge(sight.thing, sight.pods, sight.slices),
    "Ingress": lambda sight: service.ingress(sight.thing),
    "Pod": lambda sight: service.pod(sight.thing),
    "PersistentVolumeClaim": lambda sight: claim.judge(sight.thing),
}
GROUPS = {"Deployment": "apps", "StatefulSet": "apps", "Job": "batch", "Ingress": "networking.k8s.io"}
WITH_PODS = frozenset({"Deployment", "StatefulSet", "Job", "Service"})


def judge_of(inputs: Object) -> Judge | None:
    """Return what decides on an object's readiness; None where nothing is waited for. Raise WaitForError."""
    if is_set(inputs, SKIP_AWAIT):
        return None
    asked = annotation(inputs, WAIT_FOR)
    if asked:
        expressions = wait_for.parse(asked)
        return lambda sight: wait_for.judge(sight.thing, expressions)
    kind = str(inputs.get("kind"))
    group = str(inputs.get("apiVersion", "")).partition("/")
    return JUDGES.get(kind) if GROUPS.get(kind, "") == (group[0] if group[1] else "") else None


def until_ready(cluster: Cluster, call: Call, resource: Resource, inputs: Object, live: Object) -> Object:
    """Return the object once it is ready.

    Raises NotReadyError, with the reasons, when the time is over, the object failed for good or was deleted, or the
    engine cancelled.
    """
    judge = judge_of(inputs)
    if judge is None:
        if is_set(inputs, SKIP_AWAIT):
            call.status("Skipping await logic")
        return live
    if annotation(inputs, WAIT_FOR) and judge(_sight_of({"self": [live]})).ready:
        return live  # what the server has just answered tells
    if isinstance(inputs.get("spec"), Mapping) and _needs_no_wait(cluster, live):
        return live
    limit = seconds(inputs, call.seconds)
    ends = time.monotonic() + limit
    name, uid = name_of(live), live["metadata"].get("uid")
    said, seen, verdict = "", live, Verdict()
    with Follower(cluster.client) as follower:
        _follow(follower, resource, live)
        turn = -1
        while True:
            sight = _sight(follower, live)
            if sight is not None:
                found = sight.thing
                if not found or found["metadata"].get("uid") != uid:
                    raise NotReadyError(f"'{name}' was deleted while it was waited for", [], seen)
                seen = found = {"apiVersion": live["apiVersion"], "kind": live["kind"], **found}  # lists leave them out
                verdict = judge(sight)
                if verdict.progress and verdict.progress != said:
                    said = verdict.progress
                    call.status(said)
                if verdict.ready:
                    return seen
                if verdict.failed:
                    message = f"Resource '{name}' was created but failed to initialize"
                    raise NotReadyError(message, verdict.reasons, seen)
            if call.cancelled.is_set():
                raise NotReadyError(f'Resource operation was cancelled for "{name}"', verdict.reasons, seen)
            left = ends - time.monotonic()
            if left <= 0:
                if annotation(inputs, WAIT_FOR):
                    raise NotReadyError("timed out waiting for the condition", [], seen)
                raise NotReadyError(f"'{name}' timed out waiting to be Ready", verdict.reasons, seen)
            turn = follower.wait(min(TURN_SECONDS, left), turn)


def reasons_now(cluster: Cluster, resource: Resource, inputs: Object, live: Object) -> tuple[str, ...] | None:
    """Return why an object is not ready at this moment; None when it is, or when its kind is not waited for."""
    judge = judge_of(inputs)
    if judge is None or inputs.get("kind") == "PersistentVolumeClaim":
        return None
    verdict = judge(_looked_up(cluster, resource, live))
    return None if verdict.ready else verdict.reasons


def _needs_no_wait(cluster: Cluster, live: Object) -> bool:
    """Say whether a claim waits for its consumer, which is for the cluster's storage class to say."""
    if live.get("kind") != "PersistentVolumeClaim":
        return False
    name = (live.get("spec") or {}).get("storageClassName")
    if not name:
        return False
    try:
        found = cluster.client.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}")
    except ApiError:
        return False
    return bool(found.get("volumeBindingMode") == "WaitForFirstConsumer")


def _selector(live: Object) -> str:
    """Return which pods to look at; none where an expression of the program's own decides: it sees the object alone."""
    if annotation(live, WAIT_FOR):
        return ""
    spec = live.get("spec") or {}
    if live.get("kind") == "Service":
        return ",".join(f"{key}={value}" for key, value in (spec.get("selector") or {}).items())
    if live.get("kind") not in WITH_PODS:
        return ""
    selector = spec.get("selector") or {}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for row in selector.get("matchExpressions") or []:
        key, values = row["key"], ",".join(row.get("values") or [])
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[row["operator"]]
        )
    return ",".join(parts)


def _collections(resource: Resource, live: Object) -> dict[str, tuple[str, dict[str, str]]]:
    """Return what one has to look at to judge an object: path and query by name."""
    namespace = namespace_of(live)
    found = {"self": (resource.collection(namespace), {"fieldSelector": f"metadata.name={name_of(live)}"})}
    selector = _selector(live)
    if selector:
        found["pods"] = (f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector})
    if selector and live.get("kind") == "Service":
        found["slices"] = (
            f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
            {"labelSelector": f"kubernetes.io/service-name={name_of(live)}"},
        )
    return found


def _follow(follower: Follower, resource: Resource, live: Object) -> None:
    for name, (path, query) in _collections(resource, live).items():
        follower.follow(name, path, query)


def _sight(follower: Follower, live: Object) -> Sight | None:
    """Return the present sight, None while part of it has not been seen yet."""
    parts: dict[str, list[Object]] = {}
    wanted = ["self"]
    if _selector(live):
        wanted += ["pods", "slices"] if live.get("kind") == "Service" else ["pods"]
    for name in wanted:
        objects = follower.objects(name)
        if objects is None:
            return None
        parts[name] = list(objects.values())
    return _sight_of(parts)


def _looked_up(cluster: Cluster, resource: Resource, live: Object) -> Sight:
    parts = {
        name: list(cluster.client.get(path, query).get("items", []))
        for name, (path, query) in _collections(resource, live).items()
        if name != "self"
    }
    return _sight_of({**parts, "self": [live]})


def _sight_of(parts: Mapping[str, list[Any]]) -> Sight:
    found = parts["self"]
    pods = sorted(parts.get("pods", []), key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    return Sight(found[0] if found else {}, pods, parts.get("slices", []))
