"""`list`: the restores there have been, with their receipts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from backup import line
from backup.error import StopError
from backup.listing import size
from restore import follow, receipt, settings, state, undo
from restore.settings import Settings

HEADINGS = ("JOB", "ENDED (UTC)", "WHAT", "OUTCOME", "SIZE", "ROWS", "DOWN", "DISCARDED", "KEPT", "WHO", "REASON")


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Print all restores, newest first, with --json as data; return 0, or 1 when there is no telling."""
    if list(arguments) not in ([], ["--json"]):
        sys.stderr.write(f"restore list: got {' '.join(arguments)!r}, wanted nothing or --json\n")
        return 2
    try:
        chosen = settings.read(environ)
        found = receipt.read(chosen.folder("receipts"))
        there = {one.job for one in undo.there(chosen)}
    except StopError as error:
        line.say("error", str(error))
        return 1
    if arguments:
        shown = [{**one, "previous_is_there": one.get("job") in there} for one in found]
        sys.stdout.write(json.dumps(shown, indent=1) + "\n")
    elif found:
        sys.stdout.write(table([cells(one, one.get("job") in there) for one in found]))
    else:
        sys.stdout.write("Nothing has been restored yet. Restore the newest backup: make restore LATEST=1\n")
    if not arguments:
        sys.stdout.write(beside(chosen, there))
    return 0


def beside(chosen: Settings, there: set[str]) -> str:
    """Return what else there is to know: what is under way, and how to go back."""
    now, _ = state.read(chosen.state)
    words = f"Now: {follow.where(now)}\n" if now.get("job") else ""
    if there:
        words += (
            "Back to the newest database that is kept: make restore-undo; to another one: make restore-undo ARGS=JOB\n"
        )
    return words


def cells(one: Mapping[str, Any], kept: bool) -> tuple[str, ...]:
    """Return a receipt's line."""
    undone = one.get("kind") == "undo"
    discarded = one.get("discarded") or {}
    return (
        str(one.get("job", "")),
        str(one.get("ended", ""))[:16].replace("T", " "),
        str(one.get("source") if undone else one.get("file", "")),
        str(one.get("outcome", "")),
        "" if undone else size(float(one.get("bytes") or 0)),
        str(one.get("rows") or ""),
        f"{float(one['downtime_seconds']):.1f} s" if one.get("downtime_seconds") else "",
        f"{discarded.get('rows_written', 0)} rows" if discarded else "",
        str(one.get("previous", "")) if kept else "",
        str(one.get("who", "")),
        str(one.get("reason", "")),
    )


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows under their headings, each column as wide as it has to be."""
    lines = [HEADINGS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(line.rstrip() + "\n" for line in padded)
