"""What is left of a destroyed stack: strays, and the claims and the namespace that Pulumi lets go of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from operate.kubernetes import strays
from operate.kubernetes.cluster import Cluster, Object, label_of, labels, name_of, patiently, reached
from operate.kubernetes.kinds import CLAIM
from operate.request import Request
from operate.stack import Stack
from setup.problem import Problem
from setup.terminal import Progress

GONE_SECONDS = 180
POLL_SECONDS = 0.5
CLAIM_TYPE = "kubernetes:core/v1:PersistentVolumeClaim"


def take_away(request: Request, stack: Stack, protected: Sequence[Mapping[str, Any]], *, delete_data: bool) -> None:
    """Remove whatever of the stack its state did not know; claims and namespace too, where the data is to go.

    Pulumi lets go of protected claims, and of the namespace that they are in, without deleting them.
    """
    with reached(request) as cluster:
        namespace = cluster.found(f"/api/v1/namespaces/{cluster.namespace}")
        if namespace is None or not is_ours(namespace, stack.name):
            return
        strays.sweep(request, cluster, stack.known())
        kept = [name_of(each) for each in cluster.objects(CLAIM)]
        # One that was there before the stack was taken over as it is, and may lack the labels.
        kept += [name for name in in_namespace(protected, cluster.namespace) if name not in kept]
        if kept and not delete_data:
            request.terminal.note(
                f"kept the claims {', '.join(kept)} in namespace {cluster.namespace}; "
                f"kubectl delete namespace {cluster.namespace} deletes them"
            )
            return
        for name in kept:
            path = CLAIM.item(cluster.namespace, name)
            strays.remove(cluster, CLAIM, name)
            wait(request, f"claim {name}", partial(cluster.found, path))
        remove_namespace(request, cluster)


def is_ours(namespace: Object, stack: str) -> bool:
    """Return whether a namespace was made for the stack."""
    return all(label_of(namespace, key) == value for key, value in labels(stack).items())


def in_namespace(protected: Sequence[Mapping[str, Any]], namespace: str) -> list[str]:
    """Return the names of the claims among protected resources, by their ids."""
    ids = [str(each.get("id") or "").partition("/") for each in protected if each.get("type") == CLAIM_TYPE]
    return [name for within, _, name in ids if within == namespace]


def remove_namespace(request: Request, cluster: Cluster) -> None:
    """Remove the stack's namespace with what is left in it, and wait until it is gone.

    A user whose rights were in it has lost them with it, and sees it no more.
    """
    path = f"/api/v1/namespaces/{cluster.namespace}"
    if cluster.found(path) is not None:
        cluster.client.delete(path, strays.BACKGROUND)
        wait(request, f"namespace {cluster.namespace}", partial(cluster.seen, path))


def wait(request: Request, what: str, find: Callable[[], Object | None]) -> None:
    """Wait until something is gone; raise Problem when it stays."""
    with request.terminal.step("deleted", what) as step:
        until_gone(what, find, step)


def until_gone(what: str, find: Callable[[], Object | None], progress: Progress) -> None:
    """Wait until nothing is found any more; raise Problem with the finalizers when it stays."""
    deadline = time.monotonic() + GONE_SECONDS
    while (found := patiently(find)) is not None:
        holds = [*(found["metadata"].get("finalizers") or []), *((found.get("spec") or {}).get("finalizers") or [])]
        progress(f"{what}: waiting until it is gone" + (f" (held by {', '.join(holds)})" if holds else ""))
        if time.monotonic() > deadline:
            raise Problem(
                f"The {what} is still there after {GONE_SECONDS} s"
                + (f", held by {', '.join(holds)}." if holds else "."),
                "see what uses it (kubectl describe), then run this again",
            )
        time.sleep(POLL_SECONDS)
