"""Rollouts: what follows a service waits until its pods are ready, and an update over one that is not fails."""

from __future__ import annotations

import asyncio

import pulumi

from infra.platforms.kubernetes import waiting
from infra.platforms.kubernetes.resource import Object
from infra.platforms.kubernetes.stack import Stack
from infra.platforms.kubernetes.waiting import Hopeless


def finished(stack: Stack, kind: str, name: str, declared: Object, ready_seconds: int) -> pulumi.Output[Object]:
    """Return the object once its pods are ready; otherwise raise RunError with what they say. Nothing in a preview.

    Looked at by every update, changed or not: none goes green over pods that are not ready.
    """

    async def look(_uid: str) -> Object:
        if not pulumi.runtime.is_dry_run():
            try:
                await waiting.until_done(stack.client, kind, stack.namespace, name, ready_seconds)
            except Hopeless as why:
                loop = asyncio.get_running_loop()
                said = await loop.run_in_executor(
                    waiting.THREADS, waiting.told, stack.client, stack.namespace, why.labels
                )
                raise pulumi.RunError(failure(stack.namespace, kind, name, f"{why}{said}")) from None
        return declared

    return declared.uid.apply(look)


def failure(namespace: str, kind: str, name: str, why: str) -> str:
    """Say that a service did not become ready, why, and what happens next."""
    return (
        f"{kind} {name} in namespace {namespace} is not ready: {why}\n"
        "What served before goes on serving. Mend the cause, then `make up` or `pulumi up`; the cluster goes on trying "
        f"meanwhile: kubectl --namespace {namespace} get pods"
    )
