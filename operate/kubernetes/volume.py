"""Deleting a claim that the state does not know any more."""

from __future__ import annotations

from functools import partial

from operate.kubernetes import remains, strays
from operate.kubernetes.cluster import reached
from operate.kubernetes.kinds import CLAIM
from operate.request import Request


def delete(request: Request, volume: str) -> None:
    """Delete one of the stack's claims, and wait until it is gone; one that is gone is no problem."""
    with reached(request) as cluster:
        path = CLAIM.item(cluster.namespace, volume)
        if cluster.found(path) is not None:
            strays.remove(cluster, CLAIM, volume)
            remains.wait(request, f"claim {volume}", partial(cluster.found, path))
