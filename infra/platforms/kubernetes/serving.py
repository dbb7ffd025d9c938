"""The last look at a release: through the gateway, as a visitor's request goes, by way of the API server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pulumi

from infra.model import System
from infra.platforms.kubernetes import edge, waiting
from infra.platforms.kubernetes.stack import Stack
from kubeapi.errors import FORBIDDEN, ApiError, UnreachableError

ANSWER_SECONDS = 60.0
"""How long the gateways may take to learn by DNS who serves: names are kept for some seconds, absent ones for more."""
POLL_SECONDS = 0.25
READY = "readyz"
"""The app's own path; the gateway lets it through whatever the host is called."""


class NotYet(Exception):  # noqa: N818 - it is a finding, not a fault
    """The release does not serve through the gateway, or not yet."""


def confirmed(stack: Stack, system: System, waited: Sequence[pulumi.Input[pulumi.Resource]]) -> pulumi.Output[str]:
    """Return the release once it answers through the gateway; raise RunError with what answers in its place.

    Pods that are ready are not yet reached: the gateway finds them by DNS. Where the API server has no way to the pods,
    or this user none to the proxy, the update ends without this look, and says so.
    """
    path = f"/api/v1/namespaces/{stack.namespace}/services/{system.route.gateway}:{edge.PORT}/proxy/{READY}"

    async def look(_: object) -> str:
        if not pulumi.runtime.is_dry_run():
            await until_serving(stack, path, system.release)
        return system.release

    return pulumi.Output.all(*waited).apply(look)


async def until_serving(stack: Stack, path: str, release: str) -> None:
    """Return once the release answers, or cannot be asked; raise RunError when something else does."""
    loop = asyncio.get_running_loop()
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            unasked = await loop.run_in_executor(waiting.THREADS, ask, stack, path, release)
        except NotYet as found:
            if time.monotonic() > deadline:
                raise pulumi.RunError(
                    f"release {release}: its pods are ready, but {ANSWER_SECONDS:.0f} s later the gateway in namespace "
                    f"{stack.namespace} answers /{READY} with {found}. Look why: kubectl --namespace {stack.namespace} "
                    "logs deployment/gateway; then `make up` or `pulumi up`"
                ) from None
            await asyncio.sleep(POLL_SECONDS)
            continue
        if unasked:
            pulumi.log.info(f"release {release} was not asked through the gateway: {unasked}")
        return


def ask(stack: Stack, path: str, release: str) -> str:
    """Return nothing when the release answers, or why nobody could be asked; raise NotYet with what answers else."""
    try:
        answer = stack.client.get(path)
    except ApiError as error:
        if error.status == FORBIDDEN and error.reason:
            return error.message
        if error.reason and not error.message.startswith("no endpoints"):
            # The API server's own words: it found no way to the pod.
            return f"the cluster's API does not reach it: {error.message}"
        raise NotYet(f"the status {error.status}") from None
    except UnreachableError as error:
        raise NotYet(str(error)) from None
    found = answer.get("release") if isinstance(answer, dict) else None
    if found != release:
        raise NotYet(f"release {found}")
    return ""
