"""The control groups that everything of a cluster runs in: who is in them is the cluster's, and nobody else is."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
# Of the first version there is one hierarchy for each of these; the second has one for all.
HIERARCHIES = ("pids", "memory", "cpu", "cpuacct")
OWN = "programs"
POLL_SECONDS = 0.05


def hierarchies() -> list[Path]:
    """Return where groups are made on this machine; an empty list where there is no place for them."""
    if (MOUNT / "cgroup.controllers").exists():
        return [MOUNT]
    # One folder may stand for two of them.
    found = {(MOUNT / name).resolve(): None for name in HIERARCHIES if (MOUNT / name / "cgroup.procs").exists()}
    return list(found)


def provide(name: str) -> list[Path]:
    """Make the groups for the cluster's own programs and return them; the pods' are beside these."""
    if not (MOUNT / "cgroup.controllers").exists():
        # The node's agent wants a place for pods in every hierarchy that there is.
        for hierarchy in _all():
            (hierarchy / name).mkdir(exist_ok=True)
            _inherit(hierarchy, hierarchy / name)
    made = []
    for hierarchy in hierarchies():
        group = hierarchy / name / OWN
        group.mkdir(parents=True, exist_ok=True)
        made.append(group)
    return made


def members(name: str) -> set[int]:
    """Return the numbers of all processes of the cluster: its programs, and whatever runs in its pods."""
    return _members(name)


def programs(name: str) -> set[int]:
    """Return the numbers of the cluster's own programs, and of the containers' keepers, which these start."""
    return _members(f"{name}/{OWN}")


def end(name: str, seconds: float) -> bool:
    """Kill all processes of the cluster and return whether they are gone within this time."""
    deadline = time.monotonic() + seconds
    while left := members(name):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def remove(name: str) -> None:
    """Remove the groups, which have to be empty; one that is in use still stays."""
    for hierarchy in _all():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _members(name: str) -> set[int]:
    found: set[int] = set()
    for hierarchy in _all():
        for folder, _, _ in os.walk(hierarchy / name):
            with contextlib.suppress(OSError):
                found.update(map(int, (Path(folder) / "cgroup.procs").read_text().split()))
    found.discard(0)
    return found


def _inherit(parent: Path, group: Path) -> None:
    """Give a new group its parent's processors and memory: without any, nobody may enter it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (group / name).exists() and not (group / name).read_text().strip():
            (group / name).write_text((parent / name).read_text().strip())


def _all() -> Iterator[Path]:
    """Yield every hierarchy, also those that only the runtime makes groups in."""
    if (MOUNT / "cgroup.controllers").exists():
        yield MOUNT
        return
    with contextlib.suppress(OSError):
        # Two names may lead to one hierarchy.
        yield from {folder.resolve() for folder in MOUNT.iterdir() if (folder / "cgroup.procs").exists()}
