"""The most memory that a container's programs hold while something is done, but for a PostgreSQL server's."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import run_docker

LOOK_SECONDS = 0.05
PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


@dataclass
class Most:
    """The most that was seen at one moment, in MiB, and by which programs."""

    total: float = 0.0
    by: dict[str, float] = field(default_factory=dict)

    def note(self, now: dict[str, float]) -> None:
        """Keep it if it is more than before."""
        if sum(now.values()) > self.total:
            self.total, self.by = sum(now.values()), now

    def words(self) -> str:
        """Return which programs held how much."""
        return ", ".join(f"{name} {size:.0f}" for name, size in sorted(self.by.items()) if size >= 1)


@contextmanager
def watched(container: str) -> Iterator[Most]:
    """Look again and again while the block lasts; the answer is whole after it."""
    most, ended = Most(), threading.Event()
    inside = Path("/proc", run_docker("inspect", "-f", "{{.State.Pid}}", container), "ns", "pid").readlink()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            most.note(held(inside))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def held(inside: Path) -> dict[str, float]:
    """Return what the programs of a namespace hold now, in MiB by their names; a server's processes are left out."""
    found: dict[str, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # A process may end while it is looked at.
        with contextlib.suppress(OSError):
            if (folder / "ns" / "pid").readlink() == inside:
                name = (folder / "comm").read_text().strip()
                size = PSS.search((folder / "smaps_rollup").read_text())
                if name not in ("postgres", "initdb") and size:
                    found[name] = found.get(name, 0.0) + int(size[1]) / 1024
    return found
