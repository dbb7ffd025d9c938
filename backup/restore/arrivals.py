"""The queue: which files are whole and may be taken, decided from what was seen of them from poll to poll."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from backup.error import StopError

# No blank, no leading dash or dot, nothing that means something to a shell: such a name is a mistake or worse.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,180}\.(?P<kind>sql|dump|db)(?P<gzip>\.gz)?(?P<age>\.age)?")
READY, HASH, MANIFEST, NOTE = ".ready", ".sha256", ".manifest.json", ".submitted.json"
BESIDE = (READY, HASH, MANIFEST, NOTE)
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart", ".new")


class Seen(NamedTuple):
    """A file as it lies in the queue; whatever is written to it changes some of this."""

    name: str
    device: int
    inode: int
    size: int
    modified: int
    changed: int
    owner: int
    ready: bool

    @property
    def signature(self) -> tuple[int, ...]:
        """What stays the same while nobody writes to it."""
        return (self.device, self.inode, self.size, self.modified)


class Waiting(NamedTuple):
    """A file that is watched until it is still."""

    signature: tuple[int, ...]
    polls: int


class Look(NamedTuple):
    """What lies in the queue, and what is passed over and why."""

    files: list[Seen]
    ignored: dict[str, str]


def look(folder: Path) -> Look:
    """Return the files of the queue that have a usable name; nothing is opened and no link is followed."""
    files: list[Seen] = []
    ignored: dict[str, str] = {}
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError as error:
        raise StopError(
            f"{folder}: cannot be read as uid {os.getuid()}: {error.strerror}. Mount the queue there, or set "
            f"RESTORE_WATCH_DIR"
        ) from None
    names = {entry.name for entry in entries}
    for entry in entries:
        name = entry.name
        if name.startswith(".") or name.endswith((*BESIDE, *UNFINISHED)):
            continue
        if not NAME.fullmatch(name):
            ignored[name] = "its name is not letters, digits and ._+- with an ending such as .dump or .sql.gz"
            continue
        try:
            about = os.lstat(entry.path)
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(about.st_mode):
            ignored[name] = "it is no regular file"
        elif about.st_nlink != 1:
            ignored[name] = "it has other names elsewhere (hard links)"
        else:
            files.append(seen(name, about, f"{name}{READY}" in names))
    return Look(files, ignored)


def seen(name: str, about: os.stat_result, ready: bool = False) -> Seen:
    """Return a file as it is told from another one."""
    return Seen(
        name, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_uid, ready
    )


def settle(before: Mapping[str, Waiting], files: Sequence[Seen], polls: int) -> tuple[dict[str, Waiting], list[Seen]]:
    """Return what is watched from now on, and the files that have been still for so many polls, by their arrival.

    Whoever puts a second file in after the first wins: its restore comes last.
    """
    now: dict[str, Waiting] = {}
    still = []
    for file in files:
        former = before.get(file.name)
        count = former.polls + 1 if former and former.signature == file.signature else 0
        now[file.name] = Waiting(file.signature, count)
        if count >= (1 if file.ready else polls):
            still.append(file)
    return now, sorted(still, key=lambda file: (file.changed, file.name))
