"""A command in one of a service's pods, with this process's own input and output."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kubeapi import commands, pods
from operate import conversation
from operate.kubernetes.cluster import SERVICE as LABEL
from operate.kubernetes.cluster import Object, label_of, name_of, reached
from operate.request import Request
from setup.problem import Problem


def run(request: Request, command: Sequence[str], service: str) -> int:
    """Run it and return its exit code; raise Problem where the service does not run, or it hangs."""
    with reached(request) as cluster:
        pod = choose(cluster.pods(), request.stack, cluster.namespace, service)
        name, container = name_of(pod), str(pod["spec"]["containers"][0]["name"])
        with (
            conversation.with_command_in(name, request.stack, service),
            commands.begun(cluster.client, cluster.namespace, name, container, command) as (connection, channels),
        ):
            conversation.carry(connection, channels)
    code, trouble = channels.exit_code()
    if trouble:
        sys.stderr.write(f"{name}: {trouble}\n")
    return code


def choose(found: Sequence[Object], stack: str, namespace: str, service: str) -> Object:
    """Return a pod of a service's that is ready; raise Problem, with what keeps them from it, where none is."""
    if not found:
        raise Problem(
            f"There are no pods of the stack {stack} in namespace {namespace}.", f"make up STACK={stack} starts it"
        )
    its = [pod for pod in found if label_of(pod, LABEL) == service and not pod["metadata"].get("deletionTimestamp")]
    ready = [pod for pod in its if (pod.get("status") or {}).get("phase") == "Running" and not pods.troubles(pod)]
    if not ready:
        words = "; ".join(str(trouble) for pod in its for trouble in pods.troubles(pod)) or "it has no pod"
        raise Problem(
            f"No {service} of the stack {stack} is ready in which a command could run: {words}.",
            f"make status STACK={stack} says how it is; make up STACK={stack} starts it",
        )
    return ready[0]
