"""Whether there is room for what is about to be written, and whether there still is while it is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from backup.error import StopError
from backup.listing import size
from backup.manifest import Manifest

# The least that a first dump, and what it restores to, take of the size of a database. Rather too little: where it is
# not enough, the watch below ends the run, and a refusal for nothing would leave a stack without any backup.
FIRST_DUMP, FIRST_RESTORE = 0.1, 0.5
# From one backup to the next a database grows, and may be less alike.
MARGIN = 1.2
# An empty server: its templates and its log.
SERVER = 64 << 20
# Left alone whatever happens: the database itself may be on the same disk, and stops where nothing is left.
RESERVE, RESERVED_PART = 256 << 20, 50


class Room(NamedTuple):
    """What is wanted somewhere, and what for."""

    folder: Path
    bytes: int
    what: str


def for_dump(database: int, last: Manifest | None, *, sealed: bool) -> int:
    """Return what a dump takes, from the database's size and the last backup's; encrypting it takes that once more."""
    # A copy in the clear and an encrypted one lie side by side for a moment.
    times = 2 if sealed else 1
    return times * scaled(database, last, "dump_bytes", FIRST_DUMP)


def for_restore(database: int, last: Manifest | None) -> int:
    """Return what the test restore takes."""
    return SERVER + scaled(database, last, "restored_bytes", FIRST_RESTORE)


def scaled(database: int, last: Manifest | None, what: str, first: float) -> int:
    """Return what something took last time, by how much the database has grown since; else the part that it takes."""
    sizes = last.verify.get("sizes", {}) if last else {}
    before, taken = int(sizes.get("database_bytes", 0)), int(sizes.get(what, 0))
    return int(taken * max(1.0, database / before) * MARGIN) if before and taken else int(database * first)


def check(wanted: Sequence[Room]) -> None:
    """Raise StopError where less is free than is wanted; folders on one disk share what it has."""
    by_disk: dict[int, list[Room]] = {}
    for each in wanted:
        by_disk.setdefault(there(each.folder).stat().st_dev, []).append(each)
    for together in by_disk.values():
        free, asked = left(together[0].folder), sum(each.bytes for each in together)
        if asked > free:
            uses = " and ".join(f"{size(each.bytes)} for {each.what} in {each.folder}" for each in together)
            raise StopError(f"too little room: {size(free)} are free, wanted {uses}. {MEND}")


MEND = (
    "Nothing was begun. Give backups a larger disk or folder, or keep fewer of them (BACKUP_KEEP_*; "
    "a stack's settings are backupFolder, backupStorage and backupKeep*)"
)


def watch(folder: Path) -> None:
    """Raise StopError when a disk is about to be full, before others on it come to harm."""
    free = left(folder)
    if free <= 0:
        raise StopError(
            f"{folder}: the disk is all but full, and the run was ended before others on it come to harm. "
            "Give it more room"
        )


def left(folder: Path) -> int:
    """Return how many bytes may still be written there: what is free without the reserve."""
    found = os.statvfs(there(folder))
    whole = found.f_frsize * found.f_blocks
    return found.f_frsize * found.f_bavail - min(RESERVE, whole // RESERVED_PART)


def there(folder: Path) -> Path:
    """Return the folder, or the nearest above it that exists."""
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())
