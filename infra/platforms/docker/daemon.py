"""What no resource can do: ask the daemon, and remove or stop a container that failed."""

from __future__ import annotations

import errno
import io
import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

SECONDS = 60
GRACE_SECONDS = 10
CONTENT_SECONDS = 2
CONTENT_BYTES = 1 << 16


def labels_of(host: str, name: str) -> str | None:
    """Return the stack label of the container with that name, or None where there is no such container."""
    done = run(host, "container", "inspect", "--format", '{{index .Config.Labels "scaffold.stack"}}', name)
    return done.stdout.strip() if done.returncode == 0 else None


def names(host: str) -> frozenset[str]:
    """Return the names of all containers; raise RunError with Docker's words where it does not say."""
    done = run(host, "container", "ls", "--all", "--format", "{{.Names}}")
    if done.returncode != 0:
        raise pulumi.RunError(f"the Docker daemon does not list its containers: {done.stderr.strip()}")
    return frozenset(done.stdout.replace(",", "\n").split())


def processors(host: str) -> int:
    """Return how many processors the daemon's machine has; raise RunError where it does not say."""
    return int(told(host, "{{.NCPU}}"))


def platform(host: str) -> str:
    """Return what the daemon builds for, such as linux/amd64; raise RunError where it does not say."""
    return told(host, "{{.Server.Os}}/{{.Server.Arch}}", by="version")


def identity(host: str) -> str:
    """Return what tells one daemon from another, whatever its address; raise RunError where it does not say."""
    return told(host, "{{.ID}}")


@dataclass(frozen=True)
class Publisher:
    """A running container that publishes a port: its name, and at which addresses."""

    name: str
    addresses: tuple[str, ...]


def publishers(host: str, port: int) -> list[Publisher]:
    """Return the running containers that publish a port of the daemon's machine; none where it does not say."""
    done = run(host, "container", "ls", "--filter", f"publish={port}/tcp", "--format", "{{.Names}}\t{{.Ports}}")
    found = []
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        name, _, ports = line.partition("\t")
        published = (each.strip().partition("->")[0].rpartition(":") for each in ports.split(","))
        addresses = tuple(address.strip("[]") for address, _, number in published if number == str(port))
        found.append(Publisher(name, addresses))
    return found


def is_here(host: str) -> bool:
    """Return whether the daemon's machine is, by its address, this one."""
    return (host or os.environ.get("DOCKER_HOST") or "unix://").startswith("unix://")


def listened_on(address: str, port: int) -> bool:
    """Return whether something on this machine listens on the port; what cannot be told is no."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def told(host: str, what: str, by: str = "info") -> str:
    """Return what the daemon says of itself; raise RunError with the address where nobody answers."""
    done = run(host, by, "--format", what)
    # The CLI can end with 0 though it had no answer.
    if done.returncode != 0 or done.stdout.strip() in ("", "0"):
        at = f"dockerHost {host!r}" if host else "the environment's address (DOCKER_HOST, or the local socket)"
        raise pulumi.RunError(
            f"no Docker daemon answers at {at}: {done.stderr.strip()}. Start it, or set where it is: "
            "pulumi config set dockerHost unix:///var/run/docker.sock"
        )
    return done.stdout.strip()


def container(host: str, name: str) -> dict[str, Any] | None:
    """Return what the daemon knows of the container with that name, or None where there is no such container."""
    done = run(host, "container", "inspect", name)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]") if done.returncode == 0 else []
    return found[0] if found else None


def image_id(host: str, name: str) -> str | None:
    """Return the id of the image with that name, or None where there is none."""
    done = run(host, "image", "inspect", "--format", "{{.Id}}", name)
    return done.stdout.strip() if done.returncode == 0 else None


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


def content(host: str, container: str, path: str) -> str:
    """Return the text of a small file in a container; nothing where there is none, or the daemon takes too long."""
    command = ["docker", *where(host), "container", "cp", f"{container}:{path}", "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=CONTENT_SECONDS, check=True)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as packed:
            file = packed.extractfile(packed.next() or "")
            return file.read(CONTENT_BYTES).decode() if file else ""
    except (OSError, subprocess.SubprocessError, tarfile.TarError, KeyError, ValueError):
        return ""


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
