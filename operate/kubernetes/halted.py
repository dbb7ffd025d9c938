"""Workloads that stand still in a way that an update does not see: scaled to nothing under an autoscaler, or paused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeapi.client import MERGE_PATCH
from operate.kubernetes import advice, jobs, local, strays
from operate.kubernetes.cluster import Object, name_of, reached
from operate.kubernetes.kinds import AUTOSCALER, DEPLOYMENT
from operate.request import Request
from operate.stack import Stack


@dataclass(frozen=True)
class Push:
    """What sets one Deployment going again: the fields of its specification, and what to say about it."""

    name: str
    spec: Mapping[str, Any]
    sentence: str


def mend(request: Request, stack: Stack) -> None:
    """Set going what stands still, and remove Jobs that would be in the way; say which claims are taken over.

    Say what else a person should know, too.
    """
    known = stack.known()
    with reached(request) as cluster:
        strays.note_claims(request, cluster, known)
        jobs.clear(request, cluster, known)
        advice.say(request, cluster, first=not known.resources, own=local.is_meant(request))
        for push in pushes(cluster.objects(DEPLOYMENT), cluster.objects(AUTOSCALER)):
            path = DEPLOYMENT.item(cluster.namespace, push.name)
            cluster.client.patch(path, {"spec": push.spec}, MERGE_PATCH)
            request.terminal.note(push.sentence)


def pushes(deployments: Sequence[Object], autoscalers: Sequence[Object]) -> list[Push]:
    """Return what sets the Deployments going that an update would leave as they are.

    How many pods there are is no input of one with an autoscaler, and at none an autoscaler leaves it alone.
    """
    least = {
        each["spec"]["scaleTargetRef"]["name"]: int(each["spec"].get("minReplicas") or 1)
        for each in autoscalers
        if each["spec"]["scaleTargetRef"]["kind"] == DEPLOYMENT.name
    }
    found = []
    for each in deployments:
        name, spec = name_of(each), each["spec"]
        if spec.get("paused"):
            found.append(Push(name, {"paused": None}, f"the rollout of {name} was paused; it goes on"))
        if spec.get("replicas") == 0 and name in least:
            found.append(Push(name, {"replicas": least[name]}, f"{name} was stopped; {least[name]} pods of it start"))
    return found
