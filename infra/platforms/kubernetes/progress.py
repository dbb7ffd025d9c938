"""How far a rollout or a job is, decided on what the cluster says: done, under way, or without hope."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubeapi.pods import troubles

Live = Mapping[str, Any]

CRASHES = 2
"""After how many restarts a container that crashes again is given up."""
PATIENCE_SECONDS = 30.0
"""How long what may mend itself is given: a registry that is busy, a file that is about to be there."""
START_SECONDS = 300.0
"""How long a pod may wait for a node, and a node for an image."""
AT_ONCE = frozenset({"InvalidImageName", "ErrImageNeverPull"})
IN_A_WHILE = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "PostStartHookError",
        "RunContainerError",
    }
)
ABSENT = re.compile(r"(/\S*) answered 404$", re.MULTILINE)
"""What a probe says of an app that does not have the path it is asked for, and never will."""


@dataclass(frozen=True)
class Progress:
    """How far something is; `count` grows with it. `failed` says for good what went wrong."""

    done: bool
    said: str
    count: int = 0
    failed: str = ""


def of(live: Live) -> Progress:
    """Return how far a Deployment, a StatefulSet or a Job is."""
    return {"Deployment": deployment, "StatefulSet": stateful_set, "Job": job}[live["kind"]](live)


def is_seen(live: Live) -> bool:
    """Whether the controller has seen the object as it is now."""
    return int((live.get("status") or {}).get("observedGeneration") or 0) >= int(live["metadata"]["generation"])


def deployment(live: Live) -> Progress:
    """Return how far a Deployment is: all of its pods are of this version and ready, whatever is still stopping."""
    status = live.get("status") or {}
    wanted = int(live["spec"].get("replicas", 1))
    total, updated, available = (
        int(status.get(key) or 0) for key in ("replicas", "updatedReplicas", "availableReplicas")
    )
    if not is_seen(live):
        return Progress(done=False, said="the cluster has not seen it yet")
    done = updated >= wanted and total <= updated and available >= wanted
    return Progress(done, f"{updated} of {wanted} pods are new, {available} ready, {total} in all", updated + available)


def stateful_set(live: Live) -> Progress:
    """Return how far a StatefulSet is."""
    status = live.get("status") or {}
    wanted = int(live["spec"].get("replicas", 1))
    updated, ready = (int(status.get(key) or 0) for key in ("updatedReplicas", "readyReplicas"))
    if not is_seen(live):
        return Progress(done=False, said="the cluster has not seen it yet")
    return Progress(updated >= wanted and ready >= wanted, f"{ready} of {wanted} pods are ready", updated + ready)


def job(live: Live) -> Progress:
    """Return how far a Job is."""
    conditions = {row["type"]: row for row in (live.get("status") or {}).get("conditions") or []}
    for kind in ("Failed", "FailureTarget"):
        found = conditions.get(kind) or {}
        if found.get("status") == "True":
            return Progress(done=False, said="failed", failed=f"{found.get('reason', '')}: {found.get('message', '')}")
    if (conditions.get("Complete") or {}).get("status") == "True":
        return Progress(done=True, said="done")
    active = int((live.get("status") or {}).get("active") or 0)
    return Progress(done=False, said="it runs" if active else "no pod yet", count=active)


def blocked(live: Live) -> str:
    """Return why a Deployment's pods are not even made, or nothing; of others `refused` tells."""
    for row in (live.get("status") or {}).get("conditions") or []:
        if row["type"] == "ReplicaFailure" and row["status"] == "True":
            return f"{row.get('reason', '')}: {row.get('message', '')}"
    return ""


def refused(events: Sequence[Live], heard: Collection[str] = ()) -> str:
    """Return why the cluster makes no pod, by the newest of its events, or nothing; `heard` are versions of old ones.

    Events outlive their cause by an hour, and a controller that was refused often tries again after minutes.
    """
    fresh = [event for event in events if version(event) not in heard]
    newest = max(fresh, key=lambda event: (str(event.get("lastTimestamp") or ""), version(event)), default=None)
    return f"{newest.get('reason', '')}: {newest.get('message', '')}" if newest else ""


def version(live: Live) -> str:
    """Return what is another one each time an object is written."""
    return str(live["metadata"].get("resourceVersion", ""))


@dataclass
class Watched:
    """Since when each pod is in trouble, or runs without being ready; in seconds of one clock."""

    ready_seconds: float
    troubled: dict[tuple[str, str], float] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)

    def hopeless(self, pods: Sequence[Live], now: float) -> str:
        """Return why one of these pods will not become ready any more, or nothing."""
        return next((said for pod in pods if (said := self.of(pod, now))), "")

    def of(self, pod: Live, now: float) -> str:
        """Return why a pod will not become ready any more, or nothing."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"]:
            return ""
        for container in crashing(pod):
            return f"pod {name}: container {container} crashes again and again (CrashLoopBackOff)"
        for trouble in troubles(pod):
            if trouble.reason in AT_ONCE:
                return f"pod {name}: {trouble.reason}"
            if trouble.reason in IN_A_WHILE:
                # A pull that is tried again goes by another name meanwhile.
                since = self.troubled.setdefault((uid, trouble.container), now)
                if now - since > PATIENCE_SECONDS:
                    return f"pod {name}: {trouble.reason} for {PATIENCE_SECONDS:.0f} s"
            else:
                self.troubled.pop((uid, trouble.container), None)
        if has_started(pod) and not is_ready(pod):
            since = self.running.setdefault(uid, now)
            # One that crashes is told from one that is slow; it gets its turns.
            limit = self.ready_seconds + (CRASHES * self.ready_seconds + PATIENCE_SECONDS if restarts(pod) else 0)
            if now - since > limit:
                return f"pod {name} runs, and was not ready within {limit:.0f} s"
        return ""


def answered(path: str, status: str) -> str:
    """Return how a probe says what it was answered; `lacking` looks for it."""
    return f"{path} answered {status}"


def lacking(pods: Sequence[Live], events: Sequence[Live]) -> str:
    """Return whose image does not have what every release is asked, by what its probe said in an event; or nothing."""
    names = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in pods}
    for event in events:
        name = names.get((event.get("involvedObject") or {}).get("uid"))
        found = ABSENT.search(str(event.get("message") or "").strip())
        if name and found:
            return (
                f"pod {name}: its image has no {found[1]}: it answered 404, wanted status 200. Let the app serve it "
                "(app/scaffold/health.py does), and update again; or run a release that has it: make rollback ARGS=ID "
                "(make releases shows them)"
            )
    return ""


def is_probed(pod: Live) -> bool:
    """Whether a pod runs, and is asked whether it is ready."""
    return "deletionTimestamp" not in pod["metadata"] and has_started(pod) and not is_ready(pod)


def statuses(pod: Live) -> Iterator[Mapping[str, Any]]:
    """Yield what is known of a pod's containers."""
    status = pod.get("status") or {}
    yield from [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def crashing(pod: Live) -> Iterator[str]:
    """Yield the containers that were started often enough."""
    for row in statuses(pod):
        waiting = (row.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") == "CrashLoopBackOff" and int(row.get("restartCount") or 0) >= CRASHES:
            yield str(row["name"])


def restarts(pod: Live) -> int:
    """Return how often containers of a pod were started again."""
    return sum(int(row.get("restartCount") or 0) for row in statuses(pod))


def has_started(pod: Live) -> bool:
    """Whether a container of a pod has ever run."""
    return restarts(pod) > 0 or any("running" in (row.get("state") or {}) for row in statuses(pod))


def is_ready(pod: Live) -> bool:
    """Whether a pod says that it is ready."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(row["type"] == "Ready" and row["status"] == "True" for row in conditions)
