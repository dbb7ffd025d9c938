"""`submit`: puts a file or a backup into the queue, whole and under its own name, and follows what becomes of it."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

from backup import catalogue, durable, line, manifest, seal
from backup.error import StopError
from restore import arrivals, claim, follow, settings
from restore.settings import Settings

USAGE = "wanted a file, a backup's name, latest, or - with --name NAME; and --wait to see what becomes of it"


class Asked(NamedTuple):
    """What the command line says."""

    source: str
    name: str
    who: str
    wait: bool


class Chosen(NamedTuple):
    """What is put into the queue: where it is, what it is to be called, and its manifest where it has one."""

    path: Path | None
    name: str
    manifest: bytes
    sha256: str


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Put one file into the queue; return 0 when it lies there, with --wait when it has been restored."""
    asked = parse(arguments)
    if asked is None:
        sys.stderr.write(f"restore submit: got {' '.join(arguments)!r}, {USAGE}\n")
        return 2
    try:
        chosen = settings.read(environ)
        since = follow.newest(chosen)
        found = find(chosen, asked)
        put(chosen, found, asked)
    except (StopError, OSError) as error:
        line.say("error", str(error))
        return 1
    line.say("info", "it lies in the queue", file=found.name)
    return follow.follow(chosen, since, lambda receipt: receipt.get("file") == found.name) if asked.wait else 0


def parse(arguments: Sequence[str]) -> Asked | None:
    """Return what the command line says; None for what cannot be understood."""
    given = list(arguments)
    wait = "--wait" in given
    given = [word for word in given if word != "--wait"]
    options: dict[str, str] = {}
    for option in ("--name", "--who"):
        if option in given:
            place = given.index(option)
            if place + 1 >= len(given):
                return None
            options[option] = given[place + 1]
            del given[place : place + 2]
    if (
        len(given) != 1
        or (given[0].startswith("-") and given[0] != "-")
        or (given[0] == "-" and "--name" not in options)
    ):
        return None
    return Asked(given[0], options.get("--name", ""), options.get("--who", ""), wait)


def find(chosen: Settings, asked: Asked) -> Chosen:
    """Return what is meant; raise StopError that says what there is instead."""
    if asked.source == "-":
        return Chosen(None, checked(asked.name), b"", "")
    if asked.source == "latest" or catalogue.ID.fullmatch(asked.source):
        return of_backup(chosen, asked.source)
    path = Path(asked.source)
    if not path.is_file():
        raise StopError(f"{path}: there is no such file. Give a file, a backup's name, or latest")
    return Chosen(path, checked(asked.name or path.name), b"", "")


def checked(name: str) -> str:
    """Return a name that the queue takes."""
    if not arrivals.NAME.fullmatch(name):
        raise StopError(
            f"got the name {name[:80]!r}, wanted letters, digits and ._+- with an ending such as .dump or .sql.gz: "
            f"--name NAME gives it another"
        )
    return name


def of_backup(chosen: Settings, name: str) -> Chosen:
    """Return a backup's file with its manifest: the named one, or the newest that was restored and compared."""
    if not chosen.keys:
        raise StopError("BACKUP_VERIFY_KEYS: not set, wanted the public keys of who signs the backups")
    if name == "latest":
        good = [entry for entry in catalogue.entries(chosen.backups, chosen.keys) if entry.good]
        if not good:
            raise StopError(f"{chosen.backups}: no backup there was restored and compared. Make one: make backup")
        entry = good[-1]
    else:
        entry = catalogue.one(chosen.backups, name, chosen.keys)
    if entry.manifest is None or entry.note.broken:
        raise StopError(f"{entry.id}: this backup is broken: {entry.note.broken or entry.trouble}. Take another one")
    stored = next((file for file in entry.manifest.files if file.role in ("dump", "sqlite")), None)
    if stored is None:
        raise StopError(f"{entry.id}: this backup has no database in it. Take another one")
    ending = ".db" if stored.role == "sqlite" else ".dump"
    sealed = seal.SUFFIX if stored.name.endswith(seal.SUFFIX) else ""
    content = (entry.folder / manifest.NAME).read_bytes()
    return Chosen(entry.folder / stored.name, f"{entry.id}{ending}{sealed}", content, stored.sha256)


def put(chosen: Settings, found: Chosen, asked: Asked) -> None:
    """Copy it into the queue: what belongs to it first, the file last and at one moment."""
    place = chosen.watch / found.name
    if place.exists():
        raise StopError(f"{place}: such a file lies in the queue already. Give this one another: --name NAME")
    new = place.with_name(f".{found.name}.part")
    new.unlink(missing_ok=True)
    with claim.made(new) as target:
        if found.path is None:
            digest = copied(sys.stdin.buffer, target)
        else:
            with found.path.open("rb") as source:
                digest = copied(source, target)
        target.flush()
        os.fsync(target.fileno())
    if found.sha256 and digest != found.sha256:
        new.unlink()
        raise StopError(f"{found.path}: is not what its manifest says: verify the backup: python -m backup verify")
    note = {
        "who": asked.who or user(),
        "source": asked.source if asked.source != "-" else "standard input",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if found.manifest:
        durable.write(place.with_name(f"{found.name}{arrivals.MANIFEST}"), found.manifest)
    durable.write(place.with_name(f"{found.name}{arrivals.NOTE}"), json.dumps(note).encode())
    durable.write(place.with_name(f"{found.name}{arrivals.HASH}"), f"{digest}  {found.name}\n".encode())
    durable.write(place.with_name(f"{found.name}{arrivals.READY}"), b"")
    durable.rename(new, place)


def copied(source: BinaryIO, target: BinaryIO) -> str:
    """Copy all that comes and return its hash."""
    found = hashlib.sha256()
    while block := source.read(claim.BLOCK):
        found.update(block)
        target.write(block)
    return found.hexdigest()


def user() -> str:
    """Return who this is, as far as the machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
