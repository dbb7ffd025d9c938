"""How much memory the container may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from server import setting
from server.error import StopError

SMALLEST_MB = 128
UNLIMITED_MB = 512  # without a limit the host is shared with others: a modest share, not a quarter of everything
CGROUP_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Limit(NamedTuple):
    """A memory limit in MiB and where it was found."""

    megabytes: int
    source: str


def decide(configured: str | None, cgroup: str | None, physical_mb: int) -> Limit:
    """Return the limit: the setting, else the cgroup's number of bytes, else a modest default.

    `cgroup` is the text of the cgroup's file ("max", or a number that is beyond the machine, means none).
    Raise StopError for a setting that is not a whole number of at least 128 MiB, and for a smaller cgroup limit.
    """
    if configured is not None:
        if not (configured.isascii() and configured.isdigit()) or int(configured) < SMALLEST_MB:
            raise StopError(
                f"MEMORY_LIMIT_MB: got {configured!r}, wanted a whole number of MiB from {SMALLEST_MB}, such as 512"
            )
        return Limit(int(configured), "MEMORY_LIMIT_MB")
    text = (cgroup or "").strip()
    if text.isascii() and text.isdigit() and int(text) >> 20 < physical_mb:
        megabytes = int(text) >> 20
        if megabytes < SMALLEST_MB:
            raise StopError(f"the container's memory limit is {megabytes} MiB, wanted at least {SMALLEST_MB}: raise it")
        return Limit(megabytes, "cgroup")
    return Limit(UNLIMITED_MB, "default, as nothing limits the container")


def limit(environ: Mapping[str, str]) -> Limit:
    """Return this container's limit; raise StopError as `decide` does."""
    cgroup = None
    for path in CGROUP_FILES:
        try:
            cgroup = path.read_text(encoding="ascii")
            break
        except OSError:
            continue
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return decide(setting.read("MEMORY_LIMIT_MB", environ), cgroup, physical)


def left(found: Limit, others: int) -> int:
    """Return MiB for the server when others in the container take theirs; raise StopError where too little is left."""
    if others and found.megabytes - others < SMALLEST_MB:
        raise StopError(
            f"the container's memory limit is {found.megabytes} MiB, of which archiving takes {others}; "
            f"wanted at least {SMALLEST_MB + others}. Raise it: pulumi config set databaseMemory {SMALLEST_MB + others}"
        )
    return found.megabytes - others
