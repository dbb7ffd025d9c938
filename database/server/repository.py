"""What the repository holds: backups as pgBackRest tells of them, and archived segments as they lie there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from server import archiving, line, pgbackrest, setting
from server.reach import Archive, Backup, ancestors_in
from server.remote import HISTORY, Remote

SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})-[0-9a-f]{40}(?:\.[a-z0-9]+)?")
PER_FILE = 0x100
"""How many segments share the middle part of their names."""
POLL_SECONDS = 0.2
TELL_SECONDS = 10.0
REMOTE = Remote()


class Contents(NamedTuple):
    """The backups, and the archive."""

    backups: list[Backup]
    archive: Archive


def look() -> Contents:
    """Return what is there of the cluster that the repository is for; raise ToolError where it cannot be told."""
    told = pgbackrest.info()
    kept = told.get("archive") or []
    if not kept:
        return Contents([], Archive({}, {}))
    identity, name = kept[-1]["database"]["id"], str(kept[-1]["id"])
    backups = [backup for entry in told.get("backup") or [] if (backup := backup_of(entry, identity))]
    if setting.read("PITR_S3_BUCKET", os.environ):
        return Contents(backups, archive_of(*REMOTE.read(name)))
    return Contents(backups, archive_in(archiving.REPOSITORY / "archive" / archiving.STANZA / name))


def backup_of(entry: Mapping[str, Any], identity: int) -> Backup | None:
    """Return a backup of the cluster with that number in the repository; None for another's, or one with errors."""
    if entry["database"]["id"] != identity or entry.get("error"):
        return None
    timeline, first = numbers(entry["archive"]["start"])
    _, last = numbers(entry["archive"]["stop"])
    return Backup(
        label=str(entry["label"]),
        kind=str(entry["type"]),
        timeline=timeline,
        first=first,
        last=last,
        began=float(entry["timestamp"]["start"]),
        # Its second is over when everything of it is.
        ended=float(entry["timestamp"]["stop"]) + 1,
        size=int(entry["info"]["size"]),
    )


def numbers(name: str) -> tuple[int, int]:
    """Return the timeline and the number of the segment with that name."""
    return int(name[:8], 16), int(name[8:16], 16) * PER_FILE + int(name[16:24], 16)


def name_of(timeline: int, segment: int) -> str:
    """Return the name of a segment."""
    return f"{timeline:08X}{segment // PER_FILE:08X}{segment % PER_FILE:08X}"


def archive_in(folder: Path) -> Archive:
    """Return the archived segments in a folder."""
    times: dict[str, float] = {}
    histories: dict[str, str] = {}
    for entry in scanned(folder):
        if HISTORY.fullmatch(entry.name):
            histories[entry.name] = Path(entry.path).read_text(encoding="utf-8")
        if entry.is_dir():
            times |= {file.name: file.stat().st_mtime for file in scanned(Path(entry.path))}
    return archive_of(times, histories)


def archive_of(times: Mapping[str, float], histories: Mapping[str, str]) -> Archive:
    """Return the archive whose files are of these times, with what its history files say."""
    segments: dict[int, dict[int, float]] = {}
    for name, at in times.items():
        if named := SEGMENT.fullmatch(name):
            timeline, segment = numbers("".join(named.groups()))
            segments.setdefault(timeline, {})[segment] = at
    return Archive(segments, {int(name[:8], 16): ancestors_in(text) for name, text in histories.items()})


def scanned(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder; nothing where it is not there."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def held(*, shared: bool = False, seconds: float = 0.0) -> Iterator[bool]:
    """Hold the repository, for changing what it keeps or shared for reading; yield whether it came free in time."""
    descriptor = os.open(archiving.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    try:
        yield came_free(descriptor, how, seconds)
    finally:
        os.close(descriptor)


def came_free(descriptor: int, how: int, seconds: float) -> bool:
    """Take the lock, and tell now and then that it is waited for; return whether it was there in time."""
    began = told = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            pass
        else:
            return True
        now = time.monotonic()
        if now - began >= seconds:
            return False
        if now - told >= TELL_SECONDS:
            told = now
            line.say("info", "waiting for a backup that is being made", waited_seconds=round(now - began))
        time.sleep(POLL_SECONDS)
