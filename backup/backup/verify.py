"""`verify` and `drill`: whether a backup is still what it was, and whether it can be got at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from backup import (
    archive,
    catalogue,
    contents,
    fault,
    hint,
    line,
    newest,
    notice,
    proof,
    room,
    seal,
    settings,
    source,
    sqlite,
    state,
    throwaway,
    tools,
    writeback,
)
from backup.catalogue import Entry
from backup.error import StopError
from backup.manifest import Manifest
from backup.notice import Event
from backup.reading import Extension
from backup.settings import Settings
from backup.source import Source
from backup.state import State


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Check the named backups, or all: signature, every byte, and a read to the end; return 0 when all are right."""
    return each(arguments, environ, "verify")


def drill(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Do with the named backup, or the newest, what a restore would: decrypt it, restore it, compare it."""
    names = [word for word in arguments if word != "--wait"] or ["latest"]
    return each([*(["--wait"] if "--wait" in arguments else []), *names], environ, "drill")


def each(arguments: Sequence[str], environ: Mapping[str, str], what: str) -> int:
    """Check backups one after the other, also after one that is broken. With --wait first, wait for others."""
    wait = list(arguments[:1]) == ["--wait"]
    names = arguments[1:] if wait else arguments
    try:
        chosen, channels = settings.read(environ), notice.find(environ)
        lock = catalogue.claim(chosen.folder, wait=wait)
    except StopError as error:
        line.say("error", str(error))
        return 1
    try:
        troubles = tried(chosen, names, what)
        found = "; ".join(trouble for trouble in troubles if trouble)
        newest.write(chosen)
        event = told(record(chosen, found), names, found) if what == "drill" else None
    finally:
        os.close(lock)
    if event:
        notice.tell(channels, event)
    return 1 if found else 0


def tried(chosen: Settings, names: Sequence[str], what: str) -> list[str]:
    """Return what is wrong with each backup, nothing for one that is right."""
    try:
        return [checked(chosen, entry, what) for entry in wanted(chosen, names)]
    except StopError as error:
        line.say("error", str(error))
        return [str(error)]


def told(before: State, names: Sequence[str], trouble: str) -> Event | None:
    """Return what others are told of a drill: that it failed, or that it works again."""
    about = {"backups": ", ".join(names)}
    if trouble:
        return Event("drill-failure", {**about, "error": trouble})
    return Event("drill-recovered", about) if before.last_drill_result == "failure" else None


def wanted(chosen: Settings, names: Sequence[str]) -> list[Entry]:
    """Return the named backups, or all; raise StopError when there is none."""
    if names:
        return [catalogue.one(chosen.folder, name, chosen.keys) for name in names]
    entries = catalogue.entries(chosen.folder, chosen.keys)
    if not entries:
        raise StopError(f"{chosen.folder}: no backup is there. Make one: {hint.command('run')}")
    return entries


def record(chosen: Settings, trouble: str) -> State:
    """Note what the drill came to, for who watches; return what was noted before."""
    before, now = state.read(chosen.folder), datetime.now(UTC).timestamp()
    after = replace(before, last_drill=now, last_drill_result="failure" if trouble else "success")
    try:
        state.write(chosen.folder, after)
    except OSError as error:
        line.say("error", f"{chosen.folder}: the result could not be noted: {error.strerror}")
    return before


def checked(chosen: Settings, entry: Entry, what: str) -> str:
    """Check one backup, tell what came of it, and note it beside the backup; return what is wrong, if anything is."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if entry.manifest is None:
        line.say("error", f"{what} failed: {entry.trouble}", id=entry.id)
        return entry.trouble
    try:
        level = drilled(chosen, entry, entry.manifest) if what == "drill" else whole(chosen, entry, entry.manifest)
    except BrokenError as error:
        line.say("error", f"this backup is broken and does not count: {error}", id=entry.id)
        note(entry, entry.note._replace(checked_at=now, checked="", broken=str(error)))
        return str(error)
    except (StopError, OSError, psycopg.Error) as error:
        line.say("error", f"{what} failed: {error}", id=entry.id)
        return str(error) or type(error).__name__
    line.say("info", f"this backup is right: {level}", id=entry.id)
    note(entry, entry.note._replace(checked_at=now, checked=level, broken=""))
    return ""


class BrokenError(StopError):
    """The backup's own files are not what they were, whatever the machine and the keys are like."""


def note(entry: Entry, text: catalogue.Note) -> None:
    """Write the note; on a disk without room the words in the log have to do."""
    try:
        catalogue.write_note(entry.folder, text)
    except OSError as error:
        line.say("warning", f"the result could not be noted: {error.strerror}", id=entry.id)


def whole(chosen: Settings, entry: Entry, found: Manifest) -> str:
    """Check every byte, and read the dump to its end where it is not encrypted."""
    intact(entry, found)
    if found.recipients or found.kind != "postgres":
        return found.level
    # Its bytes are those that were read through when it was made, so what fails now is not the backup's own fault.
    archive.read_through(tools.find(), entry.folder / found.file("dump").name, chosen.step_seconds)
    return found.level


def intact(entry: Entry, found: Manifest) -> None:
    """Raise BrokenError when a file is missing or not the one that was stored."""
    expected = {file.name for file in found.files} | {"manifest.json", catalogue.NOTE}
    there = {path.name for path in entry.folder.iterdir() if not path.name.startswith(".")}
    if there - expected:
        line.say("warning", f"{', '.join(sorted(there - expected))}: not of this backup", id=entry.id)
    for file in found.files:
        path = entry.folder / file.name
        try:
            size, digest = path.stat().st_size, seal.digest(path)
        except FileNotFoundError:
            raise BrokenError(f"{file.name}: is missing") from None
        if size != file.bytes:
            raise BrokenError(f"{file.name}: has {size} bytes, wanted {file.bytes}")
        if digest != file.sha256:
            raise BrokenError(f"{file.name}: its SHA-256 is {digest[:16]}…, wanted {file.sha256[:16]}…")


def drilled(chosen: Settings, entry: Entry, found: Manifest) -> str:
    """Decrypt, compare with what was encrypted, restore, and compare with the original's contents."""
    intact(entry, found)
    throwaway.clear(chosen.work)
    folder = chosen.work / "drill"
    folder.mkdir(mode=0o700)
    try:
        if found.recipients:
            opened = sum(file.plain_bytes for file in found.files)
            room.check([room.Room(folder, opened, "what is decrypted")])
        with writeback.steady(chosen.work):
            paths = {file.role: clear(chosen, entry, found, file.role, folder) for file in found.files}
            fault.point("drill:between")
            prove(chosen, found, paths)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return "drilled"


def clear(chosen: Settings, entry: Entry, found: Manifest, role: str, folder: Path) -> Path:
    """Return where a file of the backup can be read in the clear."""
    file = found.file(role)
    path = entry.folder / file.name
    if not found.recipients:
        return path
    if chosen.identity is None:
        raise StopError("BACKUP_AGE_IDENTITY_FILE: not set, wanted the key file that decrypts backups, to try it")
    opened = folder / file.name.removesuffix(seal.SUFFIX)
    seal.unseal(path, chosen.identity, opened, chosen.step_seconds)
    if seal.digest(opened) != file.plain_sha256:
        raise BrokenError(f"{file.name}: decrypts to something else than was encrypted")
    return opened


def prove(chosen: Settings, found: Manifest, paths: Mapping[str, Path]) -> None:
    """Restore what was decrypted and compare it."""
    wanted = contents.from_document(found.contents)
    folder = chosen.work / "proof"
    try:
        if found.kind == "sqlite":
            sqlite.prove(paths["sqlite"], wanted, folder)
        else:
            database_bytes = int(found.verify.get("sizes", {}).get("database_bytes", 0))
            needed = room.for_restore(database_bytes, found)
            proof.prove(tools.find(), paths["dump"], origin(found), wanted, folder, chosen.step_seconds, needed)
    except proof.UnlikeError as error:
        raise BrokenError(str(error)) from None


def origin(found: Manifest) -> Source:
    """Return the server and database that a manifest tells of."""
    known = {name: found.server[name] for name in source.Source._fields}
    for name in ("schemas", "roles"):
        known[name] = tuple(known[name])
    known["extensions"] = tuple(Extension(**item) for item in known["extensions"])
    return Source(**known)
