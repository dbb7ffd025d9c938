"""Scaling the stack's workloads to nothing, in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from kubeapi.client import MERGE_PATCH
from operate.kubernetes.cluster import SERVICE, Cluster, Object, label_of, name_of, patiently, reached
from operate.kubernetes.kinds import CLAIM, DEPLOYMENT, STATEFUL_SET, Kind
from operate.request import Request
from operate.stopping import groups
from setup.problem import Problem
from setup.terminal import Progress

POLL_SECONDS = 0.5
BEYOND_GRACE_SECONDS = 60
USUAL_GRACE_SECONDS = 30


@dataclass(frozen=True)
class Workload:
    """Something that keeps pods running: its kind, what it is for, how many it wants, and how long these may take."""

    kind: Kind
    name: str
    service: str
    replicas: int
    grace_seconds: int


def run(request: Request) -> int:
    """Stop the pods of each workload in order, each with time to finish what it does."""
    with request.alone(), reached(request) as cluster:
        running = [each for each in workloads(cluster) if each.replicas or pods_of(cluster, each)]
        if not running:
            request.terminal.say(f"Nothing of the stack {request.stack} runs.")
        for group in groups(running, lambda each: each.service):
            stop(request, cluster, group)
        claims = [name_of(each) for each in cluster.objects(CLAIM)]
        if claims:
            request.terminal.say(f"Kept: the claims {', '.join(claims)} in namespace {cluster.namespace}.")
        request.terminal.say(f"make up STACK={request.stack} brings it back.")
    return 0


def workloads(cluster: Cluster) -> list[Workload]:
    """Return the stack's workloads."""
    return [workload_from(kind, each) for kind in (DEPLOYMENT, STATEFUL_SET) for each in cluster.objects(kind)]


def workload_from(kind: Kind, found: Object) -> Workload:
    """Return what an object of the cluster says of a workload."""
    spec = found["spec"]
    grace = spec["template"]["spec"].get("terminationGracePeriodSeconds")
    return Workload(
        kind=kind,
        name=name_of(found),
        service=label_of(found, SERVICE),
        replicas=int(spec.get("replicas", 1)),
        grace_seconds=USUAL_GRACE_SECONDS if grace is None else int(grace),
    )


def pods_of(cluster: Cluster, workload: Workload) -> list[str]:
    """Return the names of a workload's pods."""
    return [name_of(pod) for pod in cluster.pods() if label_of(pod, SERVICE) == workload.service and still_there(pod)]


def still_there(pod: Object) -> bool:
    """Return whether a pod has not come to its end by itself."""
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def stop(request: Request, cluster: Cluster, group: Sequence[Workload]) -> None:
    """Scale workloads to nothing side by side, and wait until their pods are gone; raise Problem when they stay."""
    for each in group:
        cluster.client.patch(each.kind.item(cluster.namespace, each.name), {"spec": {"replicas": 0}}, MERGE_PATCH)
    for each in group:
        with request.terminal.step("stopped", each.name) as step:
            wait_until_gone(cluster, each, step)


def wait_until_gone(cluster: Cluster, workload: Workload, progress: Progress) -> None:
    """Wait until a workload has no pods; raise Problem with their names when they stay."""
    deadline = time.monotonic() + workload.grace_seconds + BEYOND_GRACE_SECONDS
    while names := patiently(partial(pods_of, cluster, workload)):
        progress(f"{workload.name}: {len(names)} pods finish what they do")
        if time.monotonic() > deadline:
            raise Problem(
                f"Pods of {workload.name} do not go: {', '.join(names)}.",
                f"see why: kubectl describe pod --namespace {cluster.namespace} {names[0]} (a node that is away keeps "
                "them), then run this again",
            )
        time.sleep(POLL_SECONDS)
