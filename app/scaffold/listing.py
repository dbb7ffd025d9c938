"""The ledger for people: a table that fits the terminal, with short ids and times in UTC; and for programs: JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

Row = Mapping[str, Any]


def short_digest(row: Row) -> str:
    """Return the beginning of the image's digest, without the name of its kind."""
    return str(row["digest"] or "").rpartition(":")[2][:12]


def schema(row: Row) -> str:
    """Return the revision of the schema, or from which one to which."""
    before, after = row["schema_before"] or "none", row["schema_after"] or "none"
    return str(after) if before == after else f"{before} → {after}"


def who(row: Row) -> str:
    """Return who started it, cut to what a column holds."""
    name = str(row["started_by"] or "")
    return name if len(name) <= 20 else f"{name[:19]}…"


def minute(name: str) -> Callable[[Row], str]:
    """Return what writes one of the row's times to the minute."""

    def write(row: Row) -> str:
        moment: datetime | None = row[name]
        return f"{moment:%Y-%m-%d %H:%M}" if moment else ""

    return write


# In the order in which they are shown; the numbers say which goes first where the terminal is too narrow for all.
COLUMNS: tuple[tuple[str, int, Callable[[Row], str]], ...] = (
    ("RELEASE", 0, lambda row: str(row["release"])[:12]),
    ("OUTCOME", 0, lambda row: str(row["outcome"])),
    ("STARTED (UTC)", 1, minute("started_at")),
    ("SERVED", 4, minute("served_at")),
    ("ENDED", 6, minute("ended_at")),
    ("SCHEMA", 1, schema),
    ("REVISION", 3, lambda row: str(row["revision"] or "")[:8]),
    ("IMAGE", 5, short_digest),
    ("BY", 2, who),
    ("PINNED", 4, lambda row: str(row["bundle"] or "")[:12]),
)
GAP = "  "


def table(rows: Sequence[Row], width: int) -> str:
    """Return the rows under their headings, without columns that hold nothing or that the width has no room for."""
    filled = [
        (importance, [heading, *cells])
        for heading, importance, write in COLUMNS
        if any(cells := [write(row) for row in rows])
    ]
    while sum(longest(cells) + len(GAP) for _, cells in filled) - len(GAP) > width:
        least = max(importance for importance, _ in filled)
        if least == 0:
            break
        # The last of those that matter least.
        last = max(place for place, (importance, _) in enumerate(filled) if importance == least)
        del filled[last]
    padded = [[cell.ljust(longest(cells)) for cell in cells] for _, cells in filled]
    return "\n".join(GAP.join(line).rstrip() for line in zip(*padded, strict=True))


def longest(cells: Sequence[str]) -> int:
    """Return the width of a column."""
    return max(len(cell) for cell in cells)


def document(rows: Sequence[Row]) -> str:
    """Return the rows as a JSON list of objects, with every field and times as RFC 3339 has them."""
    return json.dumps([{name: stamp(value) for name, value in row.items()} for row in rows], indent=2)


def stamp(value: Any) -> Any:
    """Return a value as JSON takes it."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
