"""`pin`, `unpin` and `accept`: what a person decides about a backup."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from backup import catalogue, hint, line, newest, settings
from backup.catalogue import Note
from backup.error import StopError

MARKS: dict[str, tuple[str, Callable[[Note], Note]]] = {
    "pin": ("is kept until it is unpinned", lambda note: note._replace(pinned=True)),
    "unpin": ("is kept for as long as retention has a reason", lambda note: note._replace(pinned=False)),
    "accept": (
        "counts, small as it is, and the next ones are measured by it",
        lambda note: note._replace(accepted=True),
    ),
}


def main(mark: str, arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Mark one backup; return 0, or 1 when there is no such."""
    if len(arguments) != 1:
        line.say("error", f"{mark}: wanted the name of one backup, or latest. See: {hint.command('list')}")
        return 2
    words, change = MARKS[mark]
    try:
        chosen = settings.read(environ)
        lock = catalogue.claim(chosen.folder)
        try:
            entry = catalogue.one(chosen.folder, arguments[0], chosen.keys)
            if mark == "accept" and (entry.manifest is None or not entry.manifest.suspect):
                raise StopError(f"{entry.id}: it is not suspect, so there is nothing to accept")
            catalogue.write_note(entry.folder, change(entry.note))
            newest.write(chosen)
        finally:
            os.close(lock)
    except (StopError, OSError) as error:
        line.say("error", str(error))
        return 1
    line.say("info", f"{entry.id} {words}", id=entry.id)
    return 0
