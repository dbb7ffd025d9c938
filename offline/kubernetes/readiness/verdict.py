"""What one look at an object and its pods tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeapi import pods as kubeapi_pods

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Ready, failed for good, or neither yet; with what to say while waiting and what to say for a failure."""

    ready: bool = False
    failed: bool = False
    progress: str = ""
    reasons: tuple[str, ...] = ()


def conditions_of(thing: Object) -> dict[str, Object]:
    """Return an object's conditions by type."""
    return {str(row.get("type")): row for row in (thing.get("status") or {}).get("conditions") or []}


def number(thing: Object, section: str, key: str, otherwise: int = 0) -> int:
    """Return a number of an object's spec or status."""
    found = (thing.get(section) or {}).get(key)
    return int(found) if isinstance(found, int | float) else otherwise


def observed(thing: Object) -> bool:
    """Say whether the controller has seen the object as it now is."""
    return number(thing, "status", "observedGeneration") >= number(thing, "metadata", "generation")


def pod_reasons(pods: Sequence[Object]) -> tuple[str, ...]:
    """Return a line for each pod that is not ready, with its containers' reasons."""
    lines = []
    for pod in pods:
        found = kubeapi_pods.troubles(pod)
        if not found:
            continue
        where = f"[Pod {pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}]"
        containers = [trouble for trouble in found if trouble.container]
        if containers:
            told = " -- ".join(_container(pod, trouble) for trouble in containers)
            lines.append(f"{where}: containers with unready status: {told}")
        else:
            lines.extend(f"{where}: [{trouble.reason}] {trouble.message}".rstrip() for trouble in found)
    return tuple(lines)


def _container(pod: Object, trouble: kubeapi_pods.PodTrouble) -> str:
    status: Object = next(
        (row for row in (pod.get("status") or {}).get("containerStatuses") or [] if row["name"] == trouble.container),
        {},
    )
    state = status.get("state") or {}
    ended = state.get("terminated")
    if ended:
        return f'[{trouble.container}]container "{trouble.container}" completed with exit code {ended.get("exitCode")}'
    if "waiting" in state and trouble.reason not in kubeapi_pods.STARTING:
        return f"[{trouble.container}][{trouble.reason}] {trouble.message}".rstrip()
    return f"[{trouble.container}]"
