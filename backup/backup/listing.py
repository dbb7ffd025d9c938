"""`list` and `show`: what backups there are, for people and as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from backup import catalogue, hint, settings
from backup.catalogue import Entry
from backup.error import StopError

HEADINGS = ("BACKUP", "AGE", "SIZE", "ROWS", "STATE", "CHECKED", "COPIES", "NOTES")
UNITS = ("B", "KB", "MB", "GB", "TB")


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Print all backups, newest first, with --json as data; return 0, or 1 when there is no telling."""
    if list(arguments) not in ([], ["--json"]):
        sys.stderr.write(f"backup list: got {' '.join(arguments)!r}, wanted nothing or --json\n")
        return 2
    try:
        chosen = settings.read(environ)
        found = list(reversed(catalogue.entries(chosen.folder, chosen.keys)))
    except StopError as error:
        sys.stderr.write(f"backup list: {error}\n")
        return 1
    if arguments:
        sys.stdout.write(json.dumps([row(entry) for entry in found], indent=1) + "\n")
    elif found:
        sys.stdout.write(table([cells(entry, datetime.now(UTC)) for entry in found]))
    else:
        sys.stdout.write(f"There is no backup in {chosen.folder}. Make one: {hint.command('run')}\n")
    return 0


def show(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Print everything that is known of one backup; return 0, or 1 when there is no such."""
    if len(arguments) != 1:
        sys.stderr.write(f"backup show: wanted the name of one backup, or latest. See: {hint.command('list')}\n")
        return 2
    try:
        chosen = settings.read(environ)
        entry = catalogue.one(chosen.folder, arguments[0], chosen.keys)
    except StopError as error:
        sys.stderr.write(f"backup show: {error}\n")
        return 1
    about: dict[str, Any] = {**row(entry), "note": entry.note._asdict()}
    if entry.manifest is not None:
        about["manifest"] = asdict(entry.manifest)
    sys.stdout.write(json.dumps(about, indent=1, default=str) + "\n")
    return 0


def row(entry: Entry) -> dict[str, Any]:
    """Return a backup's line as data."""
    found = entry.manifest
    return {
        "id": entry.id,
        "state": entry.state,
        "good": entry.good,
        "created": found.created if found else None,
        "database": found.database if found else None,
        "bytes": found.bytes if found else None,
        "rows": found.rows if found else None,
        "level": found.level if found else None,
        "checked_at": entry.note.checked_at or (found.verify.get("at") if found else None),
        "pinned": entry.note.pinned,
        "encrypted": bool(found and found.recipients),
        "offsite": [copy.get("uri") for copy in found.offsite] if found else [],
        "trouble": entry.note.broken or entry.trouble or (found.suspect if found else ""),
        "folder": str(entry.folder),
    }


def cells(entry: Entry, now: datetime) -> tuple[str, ...]:
    """Return a backup's line for a table."""
    about = row(entry)
    notes = [word for word in ("pinned", "encrypted") if about[word]]
    if about["trouble"]:
        notes.append(str(about["trouble"]))
    found = entry.manifest
    return (
        entry.id,
        age((now - found.at).total_seconds()) if found else "?",
        size(found.bytes) if found else "?",
        str(found.rows) if found else "?",
        entry.state,
        str(about["checked_at"] or "never")[:16].replace("T", " "),
        str(1 + len(about["offsite"])),
        "; ".join(notes),
    )


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows under their headings, each column as wide as it has to be."""
    lines = [HEADINGS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(line.rstrip() + "\n" for line in padded)


def age(seconds: float) -> str:
    """Return a span of time in its largest unit."""
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def size(count: float) -> str:
    """Return a number of bytes in a unit that makes it short."""
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""
