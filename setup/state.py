"""What the local state says: locks, unfinished operations, and which Docker objects it knows."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup.places import NAME, Places

ATTRIBUTES = ".attrs"


@dataclass(frozen=True)
class PulumiLock:
    """A lock that a Pulumi run has put on a stack: where it lies, and who says to hold it since when."""

    path: Path
    pid: int
    user: str
    host: str
    since: float

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since)) if self.since else "an unknown time"
        return f"{self.user}@{self.host}, process {self.pid}, since {when}"


@dataclass(frozen=True)
class Known:
    """What the state says of a stack: whether it is there, its objects, and how many operations are unfinished.

    `ids` are the objects' ids, `objects` their kinds with these: an id of Kubernetes tells a name alone.
    """

    exists: bool
    resources: int = 0
    ids: frozenset[str] = frozenset()
    pending: int = 0
    pending_creates: int = 0
    objects: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Strays:
    """Docker objects that carry the stack's labels and that its state does not know, by name (volumes) or id."""

    containers: Sequence[Mapping[str, Any]] = ()
    networks: Sequence[Mapping[str, Any]] = ()
    volumes: Sequence[Mapping[str, Any]] = ()

    @property
    def running(self) -> list[str]:
        """The names of those containers that run."""
        return [container_name(row) for row in self.containers if row.get("State") == "running"]


def checkpoint_of(backend: Path, stack: str) -> Path:
    """Return the file that holds the stack's state."""
    return backend / ".pulumi" / "stacks" / NAME / f"{stack}.json"


def read(backend: Path, stack: str) -> Known:
    """Return what the state says; one that is there and cannot be understood counts as existing and knowing nothing."""
    latest = latest_of(backend, stack)
    return Known(exists=False) if latest is None else known_from(latest)


def latest_of(backend: Path, stack: str) -> dict[str, Any] | None:
    """Return the latest deployment in the state, empty where it cannot be understood, or None where there is none."""
    try:
        text = checkpoint_of(backend, stack).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return dict(json.loads(text)["checkpoint"].get("latest") or {})
    except (ValueError, KeyError, AttributeError, TypeError):
        return {}


def provider_inputs(backend: Path, stack: str, name: str) -> dict[str, Any]:
    """Return the inputs of a provider in the state, empty where there is none."""
    for resource in (latest_of(backend, stack) or {}).get("resources") or []:
        if resource.get("type") == f"pulumi:providers:{name}":
            return dict(resource.get("inputs") or {})
    return {}


def known_from(deployment: Mapping[str, Any]) -> Known:
    """Return what a deployment, as Pulumi exports it, says."""
    resources = deployment.get("resources") or []
    pending = deployment.get("pending_operations") or []
    objects = {
        (str(resource.get("type", "")).rpartition(":")[2], str(resource["id"]))
        for resource in resources
        if resource.get("id")
    }
    ids = frozenset(identifier for _, identifier in objects)
    creates = sum(1 for operation in pending if operation.get("type") == "creating")
    return Known(True, len(resources), ids, len(pending), creates, frozenset(objects))


def locks_on(backend: Path, stack: str) -> list[PulumiLock]:
    """Return the locks on the stack in the order of their files' names."""
    found = []
    for path in sorted((backend / ".pulumi" / "locks" / "organization" / NAME / stack).glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        found.append(
            PulumiLock(
                path=path,
                pid=int(content.get("pid", 0)),
                user=str(content.get("username", "")),
                host=str(content.get("hostname", "")),
                since=_seconds(str(content.get("timestamp", ""))),
            )
        )
    return found


def provably_dead(lock: PulumiLock, host: str, started: float | None) -> bool:
    """Return whether the run that took the lock is gone for certain.

    `started` is when the process with the lock's number began, in seconds since the epoch, or None where there is none.
    A lock from another host, or without a time, proves nothing.
    """
    if lock.host != host or not lock.pid:
        return False
    # A process that began after the lock was taken is another one with the same number.
    return started is None or (lock.since > 0 and started > lock.since + 1)


def dead(locks: Iterable[PulumiLock]) -> list[PulumiLock]:
    """Return those locks whose run is gone for certain."""
    return [lock for lock in locks if provably_dead(lock, socket.gethostname(), process_started(lock.pid))]


def remove(lock: PulumiLock) -> None:
    """Remove a lock and what Pulumi keeps beside it."""
    lock.path.unlink(missing_ok=True)
    lock.path.with_name(f"{lock.path.name}{ATTRIBUTES}").unlink(missing_ok=True)


def drop_broken_attributes(backend: Path) -> list[Path]:
    """Remove what a killed run left empty beside files of the state, and return it; Pulumi does well without.

    Plain Pulumi writes such files where the backend's URL does not say `metadata=skip`.
    """
    found = []
    for path in backend.rglob(f"*{ATTRIBUTES}"):
        # What cannot be read here Pulumi cannot read either, and says so better.
        with contextlib.suppress(OSError):
            if not is_json(path.read_bytes()):
                path.unlink()
                found.append(path)
    return found


def is_json(content: bytes) -> bool:
    """Return whether something can be read as JSON."""
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def process_started(pid: int, proc: Path = Path("/proc")) -> float | None:
    """Return when the process began, in seconds since the epoch, or None where there is none."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in (proc / "stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        if proc.joinpath("self").exists():
            return None
        return _alive_without_proc(pid)
    # One that has ended and whose parent has not looked yet does nothing any more.
    if fields[0] in ("Z", "X"):
        return None
    return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def strays(known: Known, containers: Sequence[Any], networks: Sequence[Any], volumes: Sequence[Any]) -> Strays:
    """Return those labelled Docker objects whose id (of a volume: name) is not in the state."""
    return Strays(
        containers=[row for row in containers if row["Id"] not in known.ids],
        networks=[row for row in networks if row["Id"] not in known.ids],
        volumes=[row for row in volumes if row["Name"] not in known.ids],
    )


def labels(stack: str) -> dict[str, str]:
    """Return the labels that every Docker object of a stack carries."""
    return {"scaffold.project": NAME, "scaffold.stack": stack}


def container_name(row: Mapping[str, Any]) -> str:
    """Return the name of a container as the daemon lists it."""
    names = row.get("Names") or [str(row.get("Id", ""))[:12]]
    return str(names[0]).lstrip("/")


def holds_any_stack(places: Places) -> bool:
    """Return whether the local backend has a stack, whatever its name."""
    return any((places.backend / ".pulumi" / "stacks").rglob("*.json"))


def _alive_without_proc(pid: int) -> float | None:
    with contextlib.suppress(ProcessLookupError):
        with contextlib.suppress(PermissionError):
            os.kill(pid, 0)
        return 0.0
    return None


def _seconds(timestamp: str) -> float:
    # Go writes up to nine digits of a second; Python reads six.
    head, dot, tail = timestamp.partition(".")
    digits = len(tail) - len(tail.lstrip("0123456789"))
    shortened = f"{head}{dot}{tail[: min(digits, 6)]}{tail[digits:]}" if dot else head
    try:
        return datetime.datetime.fromisoformat(shortened.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0
