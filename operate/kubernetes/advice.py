"""What an update cannot know of a cluster, and a person should: said, and in nobody's way."""

from __future__ import annotations

from operate.kubernetes.cluster import Cluster
from operate.request import Request

METRICS = "/apis/metrics.k8s.io/v1beta1"
POLICIES = (
    "NetworkPolicies say who may call whom; whether this cluster's network keeps to them its API does not tell: "
    "docs/operations.md has a command that tries it"
)
NO_METRICS = (
    "maxReplicas is set, and the cluster serves no metrics of pods (metrics-server): the load will not raise replicas"
)


def say(request: Request, cluster: Cluster, *, first: bool, own: bool) -> None:
    """Say what holds for this stack; `first` before its first update, `own` on this project's own cluster."""
    scaling = (request.setting("maxReplicas") or "0") != "0"
    served = not scaling or cluster.found(METRICS) is not None
    for sentence in sentences(first=first, own=own, metrics=served):
        request.terminal.note(sentence)


def sentences(*, first: bool, own: bool, metrics: bool) -> list[str]:
    """Return what to say."""
    return [*([POLICIES] if first and not own else []), *([] if metrics else [NO_METRICS])]
