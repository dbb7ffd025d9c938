"""Stopping the stack's containers in order."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Sequence

from operate.docker.containers import Container, of_stack, reachable, volumes_of
from operate.request import Request
from operate.stopping import groups
from setup.daemon import Daemon

GRACE_SECONDS = 90


def run(request: Request) -> int:
    """Stop the containers in order, each with time to finish what it does."""
    with request.alone():
        client = reachable(request)
        running = [container for container in of_stack(client, request.stack) if container.running]
        if not running:
            request.terminal.say(f"Nothing of the stack {request.stack} runs.")
        for group in groups(running, lambda container: container.service):
            stop(request, client, group)
        volumes = volumes_of(client, request.stack)
        if volumes:
            request.terminal.say(f"Kept: the volumes {', '.join(volumes)}.")
        request.terminal.say(f"make up STACK={request.stack} brings it back.")
    return 0


def stop(request: Request, client: Daemon, group: Sequence[Container]) -> None:
    """Stop containers side by side; SIGKILL comes only after a long grace."""

    def stop_one(container: Container) -> tuple[Container, float]:
        started = time.monotonic()
        client.post(f"/containers/{container.identifier}/stop", timeout=GRACE_SECONDS + 15, t=str(GRACE_SECONDS))
        return container, time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        for container, seconds in pool.map(stop_one, group):
            request.terminal.done("stopped", container.name, seconds)
