"""The two things that no resource can do: look whether a container is there, and remove one that failed."""

from __future__ import annotations

import subprocess

import pulumi

SECONDS = 60


def labels_of(host: str, name: str) -> str | None:
    """Return the stack label of the container with that name, or None where there is no such container."""
    done = run(host, "container", "inspect", "--format", '{{index .Config.Labels "scaffold.stack"}}', name)
    return done.stdout.strip() if done.returncode == 0 else None


def remove(host: str, container: str) -> None:
    """Remove a container; raise RunError with Docker's words when it stays."""
    done = run(host, "container", "rm", "--force", "--volumes", container)
    if done.returncode != 0 and "No such container" not in done.stderr:
        raise pulumi.RunError(f"container {container} could not be removed: {done.stderr.strip()}")


def run(host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the Docker CLI against the stack's daemon; raise RunError where it is missing or does not answer."""
    command = ["docker", *(("--host", host) if host else ()), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise pulumi.RunError(
            "the docker command is not on PATH; install the Docker CLI (Debian: apt-get install docker.io)"
        ) from None
    except subprocess.TimeoutExpired:
        raise pulumi.RunError(f"the Docker daemon did not answer `{' '.join(command)}` within {SECONDS} s") from None
