"""The logs of the cluster's programs: one file each, of bounded size."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

MOST_BYTES = 8 * 2**20
KEPT_BYTES = 2 * 2**20


def keep_short(folder: Path, seconds: float) -> None:
    """Look at the logs again and again, for ever."""
    while True:
        shorten_all(folder)
        time.sleep(seconds)


def shorten_all(folder: Path, most: int = MOST_BYTES, kept: int = KEPT_BYTES) -> None:
    """Shorten the logs that have become longer than they may be."""
    for log in folder.glob("*.log"):
        with contextlib.suppress(OSError):
            shorten(log, most, kept)


def shorten(log: Path, most: int, kept: int) -> None:
    """Move a log's end into `NAME.1` and empty it, where it is too long; whoever writes to it appends, and goes on."""
    if log.stat().st_size <= most:
        return
    with log.open("rb") as content:
        content.seek(-kept, os.SEEK_END)
        end = content.read()
    log.with_name(f"{log.name}.1").write_bytes(end.partition(b"\n")[2])
    os.truncate(log, 0)


def last_lines(log: Path, lines: int = 8) -> str:
    """Return the end of a log, for a message."""
    try:
        with log.open("rb") as content:
            content.seek(max(0, log.stat().st_size - 16384))
            return "\n".join(content.read().decode(errors="replace").strip().splitlines()[-lines:])
    except OSError:
        return ""
