"""The newest backup that counts, in a small file that an update of the stack reads."""

from __future__ import annotations

import json
from typing import Any

from backup import catalogue, durable, line
from backup.catalogue import Entry
from backup.error import StopError
from backup.settings import Settings

NAME = ".last.json"


def write(chosen: Settings) -> None:
    """Write which backup is the newest that counts; where that is impossible, nothing else is the worse for it."""
    try:
        entry = catalogue.newest_good(chosen.folder, chosen.keys)
        durable.write(chosen.folder / NAME, json.dumps(document(entry)).encode() + b"\n")
    except (OSError, StopError) as error:
        line.say("warning", f"{chosen.folder / NAME}: could not be written: {error}")


def document(entry: Entry | None) -> dict[str, Any]:
    """Return what is told of a backup; nothing where there is none."""
    if entry is None or entry.manifest is None:
        return {}
    found = entry.manifest
    return {"id": found.id, "created": found.created, "rows": found.rows, "bytes": found.bytes, "state": entry.state}
