"""Jobs of the cluster: a failed one fails the update, is removed, and so runs again with the next one."""

from __future__ import annotations

import asyncio

import pulumi

from infra.model import Job
from infra.platforms.kubernetes import cluster, pod, stack, waiting
from infra.platforms.kubernetes.pod import Surroundings
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Manifest, Object
from infra.platforms.kubernetes.stack import Stack
from infra.platforms.kubernetes.waiting import Hopeless


def object_name(job: Job) -> str:
    """Return the name of a job in the cluster."""
    return f"{job.name}-{job.release}" if job.release else job.name


def create(within: Stack, job: Job, around: Surroundings, ready_seconds: int, first: Ready) -> pulumi.Output[Object]:
    """Declare a job; the result is there only once it has succeeded."""
    declared = within.declare(
        object_name(job),
        "batch/v1",
        "Job",
        {"spec": specification(within, job, around)},
        service=job.name,
        object_name=object_name(job),
        release=job.release,
        # A job speaks for what it came after: where that is new, it runs again.
        options=pulumi.ResourceOptions.merge(
            stack.made_anew(first.ids),
            # Whoever runs the same update again is somebody else, from somewhere else: that makes nothing run again.
            # What the job is told beside its notes is in the release's id, and so in its name.
            pulumi.ResourceOptions(ignore_changes=["spec"] if job.release and (job.notes or job.digest_as) else []),
        ),
        first=first,
    )
    return finished(within, job, declared, ready_seconds)


def specification(within: Stack, job: Job, around: Surroundings) -> Manifest:
    """Return a Job's specification: one try, and another only where a node took the pod away."""
    labels = within.labels(job.identity, job.release)
    template = pod.template(job, labels, around, {}, {"restartPolicy": "Never"})
    moved = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {"backoffLimit": 0, "podFailurePolicy": {"rules": [moved]}, "template": template}


def finished(within: Stack, job: Job, declared: Object, ready_seconds: int) -> pulumi.Output[Object]:
    """Return the job once it has succeeded; otherwise remove it and raise RunError with its last lines.

    Removed, because the refresh before the next update then finds it gone and runs it again.
    """
    name = object_name(job)

    async def look(_uid: str) -> Object:
        if not pulumi.runtime.is_dry_run():
            try:
                await waiting.until_done(within.client, "Job", within.namespace, name, ready_seconds)
            except Hopeless as why:
                loop = asyncio.get_running_loop()
                raise pulumi.RunError(await loop.run_in_executor(waiting.THREADS, clear, within, name, why)) from None
        return declared

    return declared.uid.apply(look)


def clear(within: Stack, name: str, why: Hopeless) -> str:
    """Remove a job that failed, and return what to say about it."""
    said = waiting.told(within.client, within.namespace, why.labels)
    cluster.remove_job(within.client, waiting.path_of("Job", within.namespace, name))
    return (
        f"job {name} in namespace {within.namespace} failed: {why}{said}\n"
        "What serves now goes on serving. The job has been removed and runs again with the next update: "
        "mend the cause, then `make up` or `pulumi up`"
    )
