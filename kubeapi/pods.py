"""Why pods are not ready, in a person's words: the decision on plain objects, and the last lines their logs have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from kubeapi.client import Client
from kubeapi.errors import ApiError, UnreachableError

LINES = 10
LOG_SECONDS = 10.0
# What the kubelet answers, as if it were the log, for a container that has been removed.
NO_LOG = "unable to retrieve container logs for "
STARTING = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class PodTrouble:
    """What keeps one container, or with an empty name one pod, from being ready."""

    pod: str
    container: str
    reason: str
    message: str
    last_lines: tuple[str, ...] = ()
    restarted: bool = False

    def __str__(self) -> str:
        where = f"pod {self.pod}" + (f", container {self.container}" if self.container else "")
        said = ": ".join(part for part in (self.reason, self.message) if part)
        lines = "".join(f"\n    {line}" for line in self.last_lines)
        return f"{where}: {said}{lines}"


def troubles(pod: Mapping[str, Any]) -> list[PodTrouble]:
    """Return what keeps a pod from being ready; nothing for one that is ready or has succeeded."""
    name = pod["metadata"]["name"]
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return []
    conditions = {row["type"]: row for row in status.get("conditions") or []}
    if (conditions.get("Ready") or {}).get("status") == "True":
        return []
    found = [
        trouble
        for row in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        if (trouble := _container(name, row)) is not None
    ]
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        found.append(PodTrouble(name, "", str(scheduled.get("reason", "")), str(scheduled.get("message", ""))))
    if not found and status.get("reason"):
        found.append(PodTrouble(name, "", str(status["reason"]), str(status.get("message", ""))))
    if not found and "Ready" in conditions:
        ready = conditions["Ready"]
        found.append(PodTrouble(name, "", str(ready.get("reason", "")), str(ready.get("message", ""))))
    return found or [PodTrouble(name, "", str(status.get("phase", "Pending")), "")]


def _container(pod: str, row: Mapping[str, Any]) -> PodTrouble | None:
    name = str(row["name"])
    restarted = int(row.get("restartCount") or 0) > 0
    state = row.get("state") or {}
    if "waiting" in state:
        waiting = state["waiting"] or {}
        reason, message = str(waiting.get("reason", "Waiting")), str(waiting.get("message", ""))
        ended = (row.get("lastState") or {}).get("terminated")
        if ended:
            message = f"{message} ({_ending(ended)})".strip()
        return PodTrouble(pod, name, reason, message, restarted=restarted)
    if "terminated" in state:
        ended = state["terminated"] or {}
        if ended.get("exitCode") == 0:
            return None
        return PodTrouble(pod, name, str(ended.get("reason", "Error")), _ending(ended), restarted=restarted)
    if not row.get("ready"):
        return PodTrouble(pod, name, "NotReady", "its readiness probe has not passed", restarted=restarted)
    return None


def _ending(ended: Mapping[str, Any]) -> str:
    signal = f", signal {ended['signal']}" if ended.get("signal") else ""
    return f"ended with exit code {ended.get('exitCode')}{signal}; {ended.get('reason', '')}".rstrip("; ")


def reasons(client: Client, namespace: str, labels: Mapping[str, str], lines: int = LINES) -> list[PodTrouble]:
    """Return the troubles of the pods with these labels, with the last lines of their logs.

    A cluster that does not answer has nothing to tell: the list is empty then.
    """
    try:
        pods = list_pods(client, namespace, labels)
    except (ApiError, UnreachableError):
        return []
    return [
        replace(
            trouble,
            message=trouble.message or last_warning(client, namespace, pod, trouble),
            last_lines=tuple(last_lines(client, namespace, trouble, lines)),
        )
        for pod in pods
        for trouble in troubles(pod)
    ]


def last_warning(client: Client, namespace: str, pod: Mapping[str, Any], trouble: PodTrouble) -> str:
    """Return what the last warning about a pod says, where its containers do not even begin and their status is silent.

    A sandbox that cannot be made and a volume that cannot be mounted are told of in events alone.
    """
    if trouble.reason not in STARTING:
        return ""
    about = f"involvedObject.uid={pod['metadata']['uid']},type=Warning"
    try:
        found = client.get(f"/api/v1/namespaces/{quote(namespace, safe='')}/events", {"fieldSelector": about})
    except (ApiError, UnreachableError):
        return ""
    return warning_of(found.get("items") or [])


def warning_of(events: Sequence[Mapping[str, Any]]) -> str:
    """Return reason and words of the latest of these events, or nothing."""
    when = ("lastTimestamp", "eventTime", "firstTimestamp")
    latest = max(events, key=lambda event: next((str(event[key]) for key in when if event.get(key)), ""), default=None)
    return f"{latest.get('reason', '')}: {str(latest.get('message', '')).strip()}" if latest else ""


def list_pods(client: Client, namespace: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the pods with these labels, the oldest first; raise ApiError or UnreachableError."""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    found = client.get(f"/api/v1/namespaces/{quote(namespace, safe='')}/pods", {"labelSelector": selector})
    items: list[dict[str, Any]] = found.get("items", [])
    return sorted(items, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))


def last_lines(client: Client, namespace: str, trouble: PodTrouble, lines: int = LINES) -> Sequence[str]:
    """Return the last lines a container wrote; before its restart, where it has just been restarted."""
    if not trouble.container or trouble.reason in STARTING:
        return []
    for previous in (False, True):
        if previous and not trouble.restarted:
            break
        with contextlib.suppress(ApiError, UnreachableError):
            written = log(client, namespace, trouble.pod, trouble.container, lines, previous=previous)
            if written.strip() and not written.startswith(NO_LOG):
                return written.strip().splitlines()[-lines:]
    return []


def log(
    client: Client, namespace: str, pod: str, container: str, lines: int | None = None, *, previous: bool = False
) -> str:
    """Return a container's log, or its last lines; raise ApiError or UnreachableError."""
    query: dict[str, str | int | bool] = {"container": container}
    if lines is not None:
        query["tailLines"] = lines
    if previous:
        query["previous"] = True
    return client.text(f"{_path(namespace, pod)}/log", query, LOG_SECONDS)


@contextlib.contextmanager
def followed_log(client: Client, namespace: str, pod: str, container: str, lines: int) -> Iterator[Iterator[str]]:
    """Yield a container's log line by line as it is written; raise ApiError or UnreachableError."""
    query: dict[str, str | int | bool] = {"container": container, "follow": True, "tailLines": lines}
    with client.stream(f"{_path(namespace, pod)}/log", query, 24 * 3600.0) as written:
        yield written


def _path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}"
