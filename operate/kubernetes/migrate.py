"""Running the migration's job of the release that serves once more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from kubeapi import pods
from kubeapi.errors import ApiError
from operate.kubernetes import strays
from operate.kubernetes.cluster import RELEASE, SERVICE, Cluster, Object, label_of, name_of, patiently, reached
from operate.kubernetes.kinds import DEPLOYMENT, JOB
from operate.migration import SERVICE as MIGRATE
from operate.migration import WAIT_SECONDS, said_of
from operate.request import Request
from setup.problem import Problem
from setup.terminal import Step

POLL_SECONDS = 0.5
KEPT_SECONDS = 600
LONGEST_PREFIX = 50
NOT_KNOWN = 1
# What the cluster writes on a job's pods to know them by.
ITS_OWN = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")


def run(request: Request) -> int:
    """Start a job like the release's, print what it says, and return its exit code; the job is removed at the end."""
    with request.alone(), reached(request) as cluster:
        job = choose(cluster.objects(JOB), cluster.objects(DEPLOYMENT), request.stack)
        request.terminal.say(f"Running {name_of(job)} again.")
        lines, code = carried_out(request, cluster, again(job), "migrate")
        for line in lines:
            request.terminal.say(line)
        request.terminal.say(said_of(code))
    return code


def carried_out(request: Request, cluster: Cluster, job: Object, title: str) -> tuple[list[str], int]:
    """Make a job, and return what it said and its exit code once it has ended; it is removed in any case."""
    name = name_of(cluster.client.post(JOB.collection(cluster.namespace), job))
    try:
        with request.terminal.step(title, "waiting for its pod") as step:
            code = wait(cluster, name, step)
            step.outcome = f"exit code {code}"
        return said_by(cluster, name), code
    finally:
        patiently(partial(strays.remove, cluster, JOB, name))


def choose(jobs: Sequence[Object], deployments: Sequence[Object], stack: str, service: str = MIGRATE) -> Object:
    """Return the job of the release that serves, the migration where no other is named; raise Problem for none."""
    serving = {
        label_of(each, RELEASE)
        for each in deployments
        if label_of(each, RELEASE) and (each.get("status") or {}).get("readyReplicas")
    }
    migrations = [job for job in jobs if label_of(job, SERVICE) == service]
    fitting = [job for job in migrations if label_of(job, RELEASE) in serving]
    fitting = fitting or (migrations if len(migrations) == 1 else [])
    if not fitting:
        raise Problem(
            f"The stack {stack} has no job {service} to run again"
            + (" for a release that serves." if migrations else "."),
            f"make up STACK={stack} runs the migrations of its release",
        )
    return fitting[0]


def again(job: Object, command: Sequence[str] = ()) -> dict[str, Any]:
    """Return a job like the one that has run, under a name that the cluster makes up, and removed by it in the end.

    It has the same command where no other is given.
    """
    template = job["spec"]["template"]
    spec = dict(template["spec"])
    if command:
        spec["containers"] = [{**container, "args": list(command)} for container in spec["containers"]]
    meta = template.get("metadata") or {}
    carried = {key: value for key, value in (meta.get("labels") or {}).items() if key not in ITS_OWN}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": f"{name_of(job)[:LONGEST_PREFIX]}-again-",
            "namespace": job["metadata"]["namespace"],
            "labels": dict(job["metadata"].get("labels") or {}),
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": WAIT_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {"labels": carried, "annotations": dict(meta.get("annotations") or {})},
                "spec": spec,
            },
        },
    }


def wait(cluster: Cluster, name: str, step: Step) -> int:
    """Wait until the job has ended and return its pod's exit code; raise Problem when it never does."""
    deadline = time.monotonic() + WAIT_SECONDS + POLL_SECONDS
    while True:
        job = patiently(partial(cluster.found, JOB.item(cluster.namespace, name)))
        found = patiently(partial(pods_of, cluster, name))
        conditions = ((job or {}).get("status") or {}).get("conditions") or []
        if job is None or any(row["type"] in ("Complete", "Failed") and row["status"] == "True" for row in conditions):
            return exit_code(found, conditions)
        step("; ".join(str(trouble) for pod in found for trouble in pods.troubles(pod)) or "it runs")
        if time.monotonic() > deadline:
            raise Problem(
                f"The job {name} has not ended within {WAIT_SECONDS} s; it is removed.",
                "see what it waited for: make logs SERVICE=database, then run this again",
            )
        time.sleep(POLL_SECONDS)


def pods_of(cluster: Cluster, job: str) -> list[Object]:
    """Return a job's pods, the oldest first."""
    return pods.list_pods(cluster.client, cluster.namespace, {"batch.kubernetes.io/job-name": job})


def exit_code(found: Sequence[Object], conditions: Sequence[Any]) -> int:
    """Return the exit code of the job's last pod; where none ran, 0 for a job that is done, else 1."""
    codes = [
        int(ended["exitCode"])
        for pod in found
        for row in (pod.get("status") or {}).get("containerStatuses") or []
        if (ended := (row.get("state") or {}).get("terminated"))
    ]
    if codes:
        return codes[-1]
    return 0 if any(row["type"] == "Complete" and row["status"] == "True" for row in conditions) else NOT_KNOWN


def said_by(cluster: Cluster, name: str) -> list[str]:
    """Return what the job's pods wrote, or why they did not."""
    lines = []
    for pod in pods_of(cluster, name):
        for container in pod["spec"]["containers"]:
            try:
                written = pods.log(cluster.client, cluster.namespace, name_of(pod), container["name"])
            except ApiError as error:
                written = f"({name_of(pod)} cannot be read: {error})"
            lines += written.splitlines()
    return lines
