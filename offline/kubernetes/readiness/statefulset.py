"""When a StatefulSet is ready: every pod is of the newest revision and ready."""

from __future__ import annotations

from collections.abc import Sequence

from offline.kubernetes.readiness.verdict import Object, Verdict, number, observed, pod_reasons


def judge(stateful_set: Object, pods: Sequence[Object]) -> Verdict:
    """Return what a StatefulSet and its pods tell."""
    wanted = number(stateful_set, "spec", "replicas", 1)
    ready = number(stateful_set, "status", "readyReplicas")
    progress = f"[1/2] Waiting for StatefulSet to create Pods ({ready}/{wanted} Pods ready)"
    if not observed(stateful_set):
        return Verdict(progress=progress, reasons=_lacking(ready, wanted))
    status = stateful_set.get("status") or {}
    strategy = (stateful_set.get("spec") or {}).get("updateStrategy") or {}
    advanced = True
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
        updated = number(stateful_set, "status", "updatedReplicas")
        advanced = (
            updated >= wanted - partition
            if partition
            else status.get("currentRevision") == status.get("updateRevision")
        )
    if ready >= wanted and advanced:
        return Verdict(ready=True, progress="StatefulSet initialization complete")
    reasons = list(_lacking(ready, wanted))
    if not advanced:
        reasons.append(
            f'StatefulSet controller failed to advance from revision "{status.get("currentRevision")}" '
            f'to revision "{status.get("updateRevision")}"'
        )
    return Verdict(progress=progress, reasons=(*reasons, *pod_reasons(pods)))


def _lacking(ready: int, wanted: int) -> tuple[str, ...]:
    return (f"{ready} out of {wanted} replicas succeeded readiness checks",)
