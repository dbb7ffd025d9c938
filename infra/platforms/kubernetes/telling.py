"""What a service wrote into a small file, read in one of its pods."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pulumi

from infra.model import System
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.stack import Stack
from kubeapi import commands
from kubeapi.access import KubeconfigError
from kubeapi.client import Client
from kubeapi.errors import ApiError, UnreachableError

THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="telling")
SECONDS = 2.0
MOST_BYTES = 1 << 16


def of(stack: Stack, system: System, started: Mapping[str, Ready]) -> dict[str, pulumi.Output[str]]:
    """Return what each service wrote, once its pod is ready; it is read while the update does other things.

    A service that writes such a file has a volume, so it is a StatefulSet of one pod, whose name is known.
    """
    return {name: read(stack, name, path, started[name]) for name, path in system.told.items()}


def read(stack: Stack, service: str, path: str, started: Ready) -> pulumi.Output[str]:
    """Return what is in a file, nothing where it cannot be had."""

    async def look(_: object) -> str:
        asked = functools.partial(content, stack.client, stack.namespace, f"{service}-0", service, path)
        return await asyncio.get_running_loop().run_in_executor(THREADS, asked)

    return pulumi.Output.all(*started.resources).apply(look)


def content(client: Client, namespace: str, pod: str, container: str, path: str) -> str:
    """Return the text of a small file in a pod; nothing where there is none, or it may not or cannot be read."""
    deadline = time.monotonic() + SECONDS
    said = b""
    try:
        with commands.begun(client, namespace, pod, container, ["cat", path], SECONDS) as (connection, channels):
            while not channels.over and not channels.status and len(said) < MOST_BYTES:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                data = connection.recv(MOST_BYTES)
                if not data:
                    break
                said += b"".join(words for stream, words in channels.taken(data) if stream == commands.STDOUT)
        code, _ = channels.exit_code()
        return said.decode() if code == 0 else ""
    except (ApiError, UnreachableError, KubeconfigError, OSError, ValueError):
        return ""
