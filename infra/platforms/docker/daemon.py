"""What no resource can do: ask the daemon, and remove or stop a container that failed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

import pulumi

SECONDS = 60
GRACE_SECONDS = 10


def labels_of(host: str, name: str) -> str | None:
    """Return the stack label of the container with that name, or None where there is no such container."""
    done = run(host, "container", "inspect", "--format", '{{index .Config.Labels "scaffold.stack"}}', name)
    return done.stdout.strip() if done.returncode == 0 else None


def processors(host: str) -> int:
    """Return how many processors the daemon's machine has; raise RunError where it does not say."""
    done = run(host, "info", "--format", "{{.NCPU}}")
    if not done.stdout.strip().isdigit():
        raise pulumi.RunError(f"the Docker daemon does not answer: {done.stderr.strip() or done.stdout.strip()}")
    return int(done.stdout)


def remove(host: str, container: str) -> None:
    """Remove a container; raise RunError with Docker's words when it stays."""
    done = run(host, "container", "rm", "--force", "--volumes", container)
    if done.returncode != 0 and "No such container" not in done.stderr:
        raise pulumi.RunError(f"container {container} could not be removed: {done.stderr.strip()}")


def stop(host: str, containers: Sequence[str]) -> None:
    """Stop containers that nobody is sent to; raise RunError with Docker's words when they go on."""
    done = run(host, "container", "stop", "--time", str(GRACE_SECONDS), *containers)
    if done.returncode != 0:
        raise pulumi.RunError(f"{' '.join(containers)} could not be stopped: {done.stderr.strip()}")


def run(host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the Docker CLI against the stack's daemon; raise RunError where it is missing or does not answer."""
    command = ["docker", *where(host), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise pulumi.RunError(
            "the docker command is not on PATH; install the Docker CLI (Debian: apt-get install docker.io)"
        ) from None
    except subprocess.TimeoutExpired:
        raise pulumi.RunError(f"the Docker daemon did not answer `{' '.join(command)}` within {SECONDS} s") from None


def where(host: str) -> tuple[str, ...]:
    """Return the options by which the Docker CLI asks the daemon that the provider uses.

    The context that a person has chosen for the CLI (`docker context use`) means nothing to the provider.
    """
    if host:
        return ("--host", host)
    return () if os.environ.get("DOCKER_CONTEXT") else ("--context", "default")
