"""The folder of backups: a folder each, which has its name only when all that belongs to it is in it and durable."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from backup import durable, fault, hint, manifest
from backup.error import StopError
from backup.manifest import Manifest

ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
UNFINISHED = ".part"
GOING = ".going"
NOTE = "note.json"
LOCK = ".lock"


class Note(NamedTuple):
    """What was found out or decided about a backup after it was made; not signed, and never in its favour but once."""

    pinned: bool = False
    accepted: bool = False
    checked_at: str = ""
    checked: str = ""
    broken: str = ""


@dataclass(frozen=True)
class Entry:
    """One backup in the folder: its manifest, or why there is none to be believed."""

    id: str
    folder: Path
    manifest: Manifest | None
    note: Note
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether it counts: restored and compared, not suspect, and never found broken since."""
        return (
            self.manifest is not None
            and self.manifest.level in ("restored", "drilled")
            and not self.note.broken
            and (not self.manifest.suspect or self.note.accepted)
        )

    @property
    def state(self) -> str:
        """One word for it."""
        if self.manifest is None or self.note.broken:
            return "broken"
        if self.manifest.suspect and not self.note.accepted:
            return "suspect"
        return self.note.checked or self.manifest.level


def new_id(now: datetime) -> str:
    """Return a name that sorts by time and is never used again."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def claim(root: Path, *, wait: bool = False) -> int:
    """Take the folder's lock and return its descriptor.

    Raise StopError when another process has it, or the folder cannot be written.
    """
    try:
        descriptor = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        owner = f"it belongs to uid {root.stat().st_uid}" if root.exists() else "it is not there"
        raise StopError(
            f"{root}: cannot write as uid {os.getuid()}: {error.strerror} ({owner}). "
            f"Mount a volume there, or for a host folder run: chown {os.getuid()}:{os.getgid()} FOLDER"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise StopError(
            f"{root}: another backup, verification or pruning is under way. Run it again after that"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise StopError(f"{root}: cannot lock: {error.strerror}. Use a file system with flock") from None
    return descriptor


def sweep(root: Path) -> list[str]:
    """Remove what killed runs and prunings left, and return their names; the caller holds the lock."""
    left = [path for path in root.iterdir() if path.name.startswith(".") and path.name.endswith((UNFINISHED, GOING))]
    for path in left:
        durable.remove(path)
    return sorted(path.name for path in left)


def begin(root: Path, identifier: str) -> Path:
    """Make the folder in which a backup is made."""
    folder = root / f".{identifier}{UNFINISHED}"
    folder.mkdir(mode=0o750)
    return folder


def commit(folder: Path, content: bytes) -> Path:
    """Write the manifest and give the folder the backup's name: from here on there is a backup."""
    fault.point("manifest:before")
    durable.write(folder / manifest.NAME, content)
    durable.sync(folder)
    fault.point("commit:before")
    final = folder.with_name(folder.name.removeprefix(".").removesuffix(UNFINISHED))
    durable.rename(folder, final)
    fault.point("commit:after")
    return final


def remove(entry: Entry) -> None:
    """Remove a backup: its name first, so that no name ever stands for half of its files."""
    going = entry.folder.with_name(f".{entry.id}{GOING}")
    durable.rename(entry.folder, going)
    fault.point("remove:between")
    durable.remove(going)


def entries(root: Path, keys: Sequence[Ed25519PublicKey]) -> list[Entry]:
    """Return the backups in the folder, oldest first."""
    try:
        folders = sorted(path for path in root.iterdir() if ID.fullmatch(path.name) and path.is_dir())
    except OSError as error:
        raise StopError(
            f"{root}: cannot be read: {error.strerror}. Mount the backups there, or set BACKUP_DIR"
        ) from None
    return [entry(folder, keys) for folder in folders]


def entry(folder: Path, keys: Sequence[Ed25519PublicKey]) -> Entry:
    """Return one backup; whatever is wrong with its manifest is told, not raised."""
    note = read_note(folder)
    try:
        found = manifest.opened((folder / manifest.NAME).read_bytes(), keys)
    except OSError as error:
        return Entry(folder.name, folder, None, note, f"{manifest.NAME}: {error.strerror}")
    except StopError as error:
        return Entry(folder.name, folder, None, note, str(error))
    if found.id != folder.name:
        return Entry(folder.name, folder, None, note, f"{manifest.NAME}: it is that of another backup, {found.id}")
    return Entry(folder.name, folder, found, note)


def one(root: Path, identifier: str, keys: Sequence[Ed25519PublicKey]) -> Entry:
    """Return the backup of this name, or the newest for `latest`; raise StopError when there is none."""
    if identifier == "latest":
        found = entries(root, keys)
        if not found:
            raise StopError(f"{root}: no backup is there. Make one: {hint.command('run')}")
        return found[-1]
    if not ID.fullmatch(identifier) or not (root / identifier).is_dir():
        raise StopError(f"{root}: there is no backup {identifier!r}. See those that are: {hint.command('list')}")
    return entry(root / identifier, keys)


def newest_good(root: Path, keys: Sequence[Ed25519PublicKey], database: str = "") -> Entry | None:
    """Return the newest backup that counts, of one database if named, or None."""
    good = [each for each in entries(root, keys) if each.good and each.manifest is not None]
    return next((each for each in reversed(good) if database in ("", each.manifest and each.manifest.database)), None)


def read_note(folder: Path) -> Note:
    """Return a backup's note; one that cannot be read keeps the backup, and does not let it count."""
    try:
        document: dict[str, Any] = json.loads((folder / NOTE).read_bytes())
        return Note(**document)
    except FileNotFoundError:
        return Note()
    except (OSError, ValueError, TypeError):
        return Note(pinned=True, broken=f"{NOTE} cannot be read: verify it again, then unpin it")


def write_note(folder: Path, note: Note) -> None:
    """Write a backup's note."""
    durable.write(folder / NOTE, json.dumps(note._asdict(), sort_keys=True).encode() + b"\n")
