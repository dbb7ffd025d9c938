"""What a service wrote into a small file, read from its container by the daemon: nothing is run for it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pulumi

from infra.model import System
from infra.platforms.docker import daemon, ready
from infra.platforms.docker.ready import Ready
from infra.platforms.docker.stack import Stack

THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="telling")
"""Apart from Pulumi's own: what waits must not keep a registration from being sent."""


def of(stack: Stack, system: System, started: Mapping[str, Ready], last: Ready) -> dict[str, pulumi.Output[str]]:
    """Return what each service wrote, read once its container is there and `last`, while the update goes on."""
    return {
        name: read(stack, stack.object_name(name), path, ready.every([started[name], last]))
        for name, path in system.told.items()
    }


def read(stack: Stack, container: str, path: str, started: Ready) -> pulumi.Output[str]:
    """Return what is in a file, nothing where it cannot be had."""

    async def look(_: object) -> str:
        asked = functools.partial(daemon.content, stack.host, container, path)
        return await asyncio.get_running_loop().run_in_executor(THREADS, asked)

    return pulumi.Output.all(*started.ids).apply(look)
