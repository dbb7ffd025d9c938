"""What is mounted below the cluster's folders."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from setup.processes import Failed, run

SECONDS = 30
TABLE = Path("/proc/self/mountinfo")


def below(folders: Sequence[Path], table: str) -> list[str]:
    """Return the mount points in or below the folders, the innermost first."""
    roots = [os.path.realpath(folder) for folder in folders]
    points = [unescaped(line.split()[4]) for line in table.splitlines() if len(line.split()) > 4]
    found = [point for point in points if any(point == root or point.startswith(f"{root}/") for root in roots)]
    return sorted(found, key=lambda point: (point.count("/"), point), reverse=True)


def unescaped(text: str) -> str:
    """Return a path as it is; the kernel writes spaces and the like as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def release(folders: Sequence[Path]) -> list[str]:
    """Unmount everything below the folders, also what is in use still; return what could not be."""
    for _ in range(3):  # one mount may hide another at the same point
        left = below(folders, TABLE.read_text())
        if not left:
            return []
        for point in left:
            with contextlib.suppress(Failed):
                run(["umount", "--lazy", point], SECONDS)
    return below(folders, TABLE.read_text())
