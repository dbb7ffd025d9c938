"""Service accounts: one for each workload, with no rights and no token in any pod."""

from __future__ import annotations

from infra.model import System
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Object
from infra.platforms.kubernetes.stack import Stack


def create(stack: Stack, system: System, pull_secret: Object | None, first: Ready) -> dict[str, Object]:
    """Declare the accounts by workload.

    They name the secret to pull with, and not the pods: another password then starts no pod anew.
    """
    pulling = {"imagePullSecrets": [{"name": pull_secret.object_name}]} if pull_secret else {}
    return {
        each.name: stack.declare(
            f"account-{each.name}",
            "v1",
            "ServiceAccount",
            {"automountServiceAccountToken": False, **pulling},
            service=each.name,
            object_name=each.name,
            first=first,
        )
        for each in system.identities
    }
