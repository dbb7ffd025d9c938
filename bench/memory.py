"""What the whole stack holds in memory after a minute in which nobody asked for anything."""

from __future__ import annotations

import re
import time
from pathlib import Path

from bench.row import Row
from bench.stack import serving
from tests.conftest import run_docker

IDLE_SECONDS = 60


def pss(container: str) -> int:
    """Return the proportional set size of a container's processes, in KiB."""
    pids = run_docker("container", "top", container, "-o", "pid").split()[1:]
    total = 0
    for pid in pids:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total


def rows() -> list[Row]:
    """Measure every running container of a stack."""
    with serving() as site:
        site.get("/")
        time.sleep(IDLE_SECONDS)
        found = {
            name.split("-")[-1 if "web" not in name else -3]: pss(name) / 1024 for name in site.containers(running=True)
        }
    detail = ", ".join(f"{name} {size:.0f}" for name, size in sorted(found.items()))
    return [Row("whole stack after 60 s idle, sum of PSS", sum(found.values()), 450, "MiB", detail)]
