"""When a Job is done: it succeeded, or failed for good."""

from __future__ import annotations

from collections.abc import Sequence

from offline.kubernetes.readiness.verdict import Object, Verdict, conditions_of, number, pod_reasons


def judge(job: Object, pods: Sequence[Object]) -> Verdict:
    """Return what a Job and its pods tell."""
    conditions = conditions_of(job)
    if (conditions.get("Complete") or {}).get("status") == "True":
        return Verdict(ready=True)
    metadata = job["metadata"]
    name = f'"{metadata.get("namespace", "")}/{metadata["name"]}"'
    counts = " | ".join(f"{word}: {number(job, 'status', word.lower())}" for word in ("Active", "Succeeded", "Failed"))
    started = bool((job.get("status") or {}).get("startTime"))
    progress = f"Waiting for Job {name} to succeed ({counts})" if started else f"Waiting for Job {name} to start"
    failure = conditions.get("Failed") or {}
    if failure.get("status") == "True":
        told = f"[{failure.get('reason')}] {failure.get('message')}"
        return Verdict(failed=True, progress=progress, reasons=(*_endings(pods), told))
    return Verdict(progress=progress, reasons=pod_reasons(pods))


def _endings(pods: Sequence[Object]) -> tuple[str, ...]:
    lines = []
    for pod in pods:
        where = f"[Pod {pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}]"
        for row in (pod.get("status") or {}).get("containerStatuses") or []:
            ended = (row.get("state") or {}).get("terminated")
            if ended and ended.get("exitCode"):
                lines.append(f'{where}: container "{row["name"]}" completed with exit code {ended["exitCode"]}')
    return tuple(lines)
