"""The table of results: each bench replaces its own rows, the others stay, with the machine they were taken on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.row import Row
from setup.files import write_atomically

FILE = Path(__file__).resolve().parent / "RESULTS.md"
HEAD = ["what", "wanted", "measured", "reached", "how", "taken"]
PREFACE = """# Results

Taken with `make bench` (or `python3 -m bench NAME`), which measures side by side in one run and replaces its own rows.

"""


def machine() -> str:
    """Return processors, memory and kernel of this machine, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}"


def merge(text: str, rows: Sequence[Row], taken: str) -> str:
    """Return the table with these rows put in by name, in place of older ones."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == len(HEAD) and cells[0] not in (HEAD[0], "---"):
            found[cells[0]] = cells
    found.update({row.what: [*row.cells(), taken] for row in rows})
    lines = [HEAD, ["---"] * len(HEAD), *found.values()]
    return PREFACE + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def write(rows: Sequence[Row]) -> None:
    """Put rows into the file of results."""
    old = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    taken = f"{datetime.now(UTC):%Y-%m-%d}, {machine()}"
    write_atomically(FILE, merge(old, rows, taken).encode())
