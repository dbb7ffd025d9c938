"""How the archive is, in a file that the server itself reads: whoever makes backups asks for it, and alarms."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from server import repository, volume

NAME = "archive.json"
MOST_GAPS = 100

# What the server makes of the file: nothing where it is old, and whoever is told knows that nobody knows.
SOURCE = (
    f"SELECT coalesce((SELECT pg_read_file('{NAME}') WHERE (pg_stat_file('{NAME}', true)).modification "
    f"BETWEEN now() - interval '5 minutes' AND now() + interval '1 minute'), 'unknown')"
)
FUNCTION = "public.archive_state()"


def render(trouble: str, gaps: Sequence[tuple[int, int, int]] | None) -> str:
    """Return what is wrong, nothing where it works, and the newest gaps, null where nobody knows them."""
    named = None
    if gaps is not None:
        newest = sorted(gaps)[-MOST_GAPS:]
        named = [[repository.name_of(timeline, each) for each in ends] for timeline, *ends in newest]
    return json.dumps({"trouble": trouble, "gaps": named})


def write(folder: Path, trouble: str, gaps: Sequence[tuple[int, int, int]] | None = None) -> None:
    """Write it into the server's data directory; what cannot be written is old, and so counts as unknown."""
    with contextlib.suppress(OSError):
        volume.post(folder / NAME, render(trouble, gaps))
