"""`make down`: stops the stack's containers and keeps everything; the next `make up` brings it back."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Sequence

from operate.containers import Container, of_stack, reachable, volumes_of
from operate.request import Request
from setup.daemon import Daemon

# Web first, behind the gateway's page; the database when nobody uses it any more.
ORDER = ("web", "", "gateway", "database")
GRACE_SECONDS = 90


def run(request: Request) -> int:
    """Stop the containers in order, each with time to finish what it does."""
    with request.alone():
        client = reachable(request)
        running = [container for container in of_stack(client, request.stack) if container.running]
        if not running:
            request.terminal.say(f"Nothing of the stack {request.stack} runs.")
        for group in groups(running):
            stop(request, client, group)
        volumes = volumes_of(client, request.stack)
        if volumes:
            request.terminal.say(f"Kept: the volumes {', '.join(volumes)}.")
        request.terminal.say(f"make up STACK={request.stack} brings it back.")
    return 0


def groups(containers: Sequence[Container]) -> list[list[Container]]:
    """Return the containers in groups that can stop together, in the order in which the groups should."""
    ordered: list[list[Container]] = [[] for _ in ORDER]
    for container in containers:
        ordered[ORDER.index(container.service) if container.service in ORDER else ORDER.index("")].append(container)
    return [group for group in ordered if group]


def stop(request: Request, client: Daemon, group: Sequence[Container]) -> None:
    """Stop containers side by side; SIGKILL comes only after a long grace."""

    def stop_one(container: Container) -> tuple[Container, float]:
        started = time.monotonic()
        client.post(f"/containers/{container.identifier}/stop", timeout=GRACE_SECONDS + 15, t=str(GRACE_SECONDS))
        return container, time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        for container, seconds in pool.map(stop_one, group):
            request.terminal.done("stopped", container.name, seconds)
