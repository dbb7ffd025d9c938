"""Starting the migration job of the release that serves once more."""

from __future__ import annotations

import time

from operate.docker import logs
from operate.docker.containers import Container, of_stack, reachable
from operate.migration import SERVICE, WAIT_SECONDS, said_of
from operate.request import Request
from setup.problem import Problem


def run(request: Request) -> int:
    """Start the job's container, print what it says, and return its exit code."""
    with request.alone():
        client = reachable(request)
        found = of_stack(client, request.stack)
        job = choose(found, request.stack)
        since = str(int(time.time()))
        request.terminal.say(f"Starting {job.name} again.")
        client.post(f"/containers/{job.identifier}/start")
        code = int(client.post(f"/containers/{job.identifier}/wait", timeout=WAIT_SECONDS)["StatusCode"])
        query = {"stdout": "1", "stderr": "1", "since": since}
        with client.reading(f"/containers/{job.identifier}/logs", 60, query) as answer:
            for line in logs.lines_of(logs.frames(answer)):
                request.terminal.say(line)
        request.terminal.say(said_of(code))
    return code


def choose(containers: list[Container], stack: str) -> Container:
    """Return the migration job of the release that serves; raise Problem where there is none."""
    serving = {container.release for container in containers if container.service == "web" and container.running}
    jobs = [container for container in containers if container.service == SERVICE]
    fitting = [job for job in jobs if job.release in serving] or (jobs if len(jobs) == 1 else [])
    if not fitting:
        raise Problem(
            f"The stack {stack} has no migration container to start again"
            + (" for a release that serves." if jobs else "."),
            f"make up STACK={stack} runs the migrations of its release",
        )
    return fitting[0]
