"""When a Deployment is ready: its newest pods are available, and no older ones are left."""

from __future__ import annotations

from collections.abc import Sequence

from offline.kubernetes.readiness.verdict import Object, Verdict, conditions_of, number, observed, pod_reasons


def judge(deployment: Object, pods: Sequence[Object]) -> Verdict:
    """Return what a Deployment and the pods it selects tell."""
    wanted = number(deployment, "spec", "replicas", 1)
    updated = number(deployment, "status", "updatedReplicas")
    available = number(deployment, "status", "availableReplicas")
    running = number(deployment, "status", "replicas")
    name = deployment["metadata"]["name"]
    progress = f"Waiting for {name} ReplicaSet to be available ({available}/{wanted} Pods available)"
    if observed(deployment) and updated >= wanted and running <= updated and available >= updated:
        return Verdict(ready=True, progress="Deployment initialization complete")
    return Verdict(progress=progress, reasons=_reasons(deployment, pods, available))


def _reasons(deployment: Object, pods: Sequence[Object], available: int) -> tuple[str, ...]:
    conditions = conditions_of(deployment)
    told = [
        f"[{condition.get('reason')}] {condition.get('message')}"
        for kind, bad in (("Available", "False"), ("Progressing", "False"), ("ReplicaFailure", "True"))
        if (condition := conditions.get(kind) or {}).get("status") == bad
    ]
    live = "Minimum number of live Pods was not attained"
    if available:
        live = "Minimum number of Pods to consider the application live was not attained"
    return (*told, live, *pod_reasons(pods))
