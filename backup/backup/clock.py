"""Whether the clock can be trusted for removing anything."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

BOOT = Path("/proc/sys/kernel/random/boot_id")
TOLERANCE_SECONDS = 3600.0


class Reading(NamedTuple):
    """The clock at one moment, with one that nobody sets beside it."""

    wall: float
    since_boot: float
    boot: str


def read() -> Reading:
    """Return what the clocks say now."""
    try:
        boot = BOOT.read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return Reading(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot)


def trouble(before: Reading | None, now: Reading, newest: datetime | None) -> str:
    """Return why the clock is not believed; empty when it is."""
    if newest is not None and newest.timestamp() > now.wall + 1:
        return f"the clock went back: the newest backup is of {newest:%Y-%m-%d %H:%M:%S} UTC, which is yet to come"
    if before is None or not before.boot or before.boot != now.boot:
        return ""
    jump = (now.wall - before.wall) - (now.since_boot - before.since_boot)
    if abs(jump) > TOLERANCE_SECONDS:
        return f"the clock jumped by {jump / 3600:+.1f} hours since the last run"
    return ""
