"""How much of a processor a container takes, with what is run in it from outside."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.conftest import run_docker

ROOT = Path("/sys/fs/cgroup")
USAGE = re.compile(r"^usage_usec (\d+)$", re.MULTILINE)


def share(container: str, seconds: float) -> float:
    """Return which part of one processor it takes over so many seconds, in percent."""
    began, before = time.monotonic(), spent(container)
    time.sleep(seconds)
    return 100 * (spent(container) - before) / (time.monotonic() - began)


def spent(container: str) -> float:
    """Return the seconds that it has spent, whichever version of control groups this machine has."""
    whole = run_docker("inspect", "-f", "{{.Id}}", container)
    for found in ROOT.glob(f"**/*{whole}*/cpuacct.usage"):
        return int(found.read_text()) / 1e9
    for found in ROOT.glob(f"**/*{whole}*/cpu.stat"):
        usage = USAGE.search(found.read_text())
        if usage:
            return int(usage[1]) / 1e6
    raise RuntimeError(f"no control group of {container} is below {ROOT}")
