"""What containers weigh: where systemd is absent, all of them together as much as any one process beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ALL_CONTAINERS = Path("/sys/fs/cgroup/cpu/docker/cpu.shares")
# With systemd each container is a unit like the daemon itself; a release has eight at the most.
CONTAINERS = 8
ONE = 1024


@contextmanager
def each_of_its_own() -> Iterator[bool]:
    """Let containers weigh as they do under systemd; False where nothing is known to stand in their way."""
    if not ALL_CONTAINERS.exists():
        yield False
        return
    before = ALL_CONTAINERS.read_text()
    ALL_CONTAINERS.write_text(str(CONTAINERS * ONE))
    try:
        yield True
    finally:
        ALL_CONTAINERS.write_text(before)
