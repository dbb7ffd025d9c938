"""The copy in another place: stored, read back, and only then told of; its manifest comes last there too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from backup import bucket, catalogue, durable, fault, hint, line, manifest, newest, retention, room, settings
from backup.bucket import Bucket
from backup.error import StopError
from backup.manifest import Manifest, StoredFile
from backup.progress import Progress
from backup.retention import Candidate
from backup.settings import Settings


def store(place: bucket.Place, identifier: str, folder: Path, files: Sequence[StoredFile]) -> dict[str, str]:
    """Store a backup's files and read them back; return what the manifest tells of the copy."""
    fault.point("offsite:before")
    session = Bucket(place)
    progress = Progress("off-site copy")
    for file in files:
        key = f"{identifier}/{file.name}"
        session.put(key, folder / file.name, progress.tick)
        compare(session, key, file.sha256, progress)
    progress.done(bytes=sum(file.bytes for file in files), uri=place.uri(identifier))
    return {"uri": place.uri(f"{identifier}/"), "verified_at": datetime.now(UTC).isoformat(timespec="seconds")}


def compare(session: Bucket, key: str, wanted: str, progress: Progress) -> None:
    """Read back what was stored; raise StopError when it is something else."""
    got = session.digest(key, progress.tick)
    if got != wanted:
        raise StopError(
            f"{session.place.uri(key)}: what was stored reads back with SHA-256 {got[:16]}…, wanted {wanted[:16]}…. "
            f"The copy does not count; look at the store and what is in between"
        )


def commit(place: bucket.Place, identifier: str, folder: Path) -> None:
    """Store the manifest: from here on the copy can be found."""
    fault.point("offsite:between")
    key = f"{identifier}/{manifest.NAME}"
    session = Bucket(place)
    session.put(key, folder / manifest.NAME, lambda: None)
    digest = hashlib.sha256((folder / manifest.NAME).read_bytes()).hexdigest()
    compare(session, key, digest, Progress("off-site manifest"))


def listed(session: Bucket, chosen: Settings) -> dict[str, Manifest]:
    """Return the backups in the bucket by their names."""
    found = {}
    for key in session.names():
        identifier, _, name = key.partition("/")
        if name == manifest.NAME and catalogue.ID.fullmatch(identifier):
            try:
                opened = manifest.opened(b"".join(session.read(key)), chosen.keys)
            except StopError as error:
                line.say("warning", f"{session.place.uri(key)}: {error}")
                continue
            if opened.id == identifier:
                found[identifier] = opened
    return found


def prune(place: bucket.Place, chosen: Settings) -> None:
    """Remove copies that retention has no reason to keep: their manifests first, so that none names what is gone.

    Files without a manifest are of a run that did not end; they go when a later backup is complete.
    """
    session = Bucket(place)
    session.abort_stale()
    copies = listed(session, chosen)
    notes = {identifier: catalogue.read_note(chosen.folder / identifier) for identifier in copies}
    candidates = [
        Candidate(
            identifier,
            copy.at,
            copy.level in ("restored", "drilled") and (not copy.suspect or notes[identifier].accepted),
            notes[identifier].pinned,
        )
        for identifier, copy in copies.items()
    ]
    remove = set(retention.plan(candidates, chosen.policy, chosen.zone).remove)
    keys = session.names()
    manifests = {key.partition("/")[0] for key in keys if key.endswith(f"/{manifest.NAME}")}
    newest = max(copies, default="")
    for key in sorted(keys, key=lambda key: not key.endswith(f"/{manifest.NAME}")):
        identifier = key.partition("/")[0]
        unfinished = catalogue.ID.fullmatch(identifier) and identifier not in manifests and identifier < newest
        if identifier in remove or unfinished:
            session.remove(key)
    line.say("info", "off-site retention is done", kept=len(copies) - len(remove), removed=len(remove))


def fetch(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Bring a backup, or the newest, back from the bucket; return 0 when every byte of it is right."""
    if len(arguments) != 1:
        line.say("error", "fetch: wanted the name of one backup in the bucket, or latest")
        return 2
    try:
        chosen = settings.read(environ)
        place = needed(environ)
        lock = catalogue.claim(chosen.folder)
        try:
            bring(Bucket(place), chosen, arguments[0])
            newest.write(chosen)
        finally:
            os.close(lock)
    except (StopError, OSError) as error:
        line.say("error", str(error))
        return 1
    return 0


def needed(environ: Mapping[str, str]) -> bucket.Place:
    """Return the configured bucket; raise StopError when there is none."""
    place = bucket.find(environ)
    if place is None:
        raise StopError("BACKUP_S3_BUCKET: not set, wanted the bucket that copies are in")
    return place


def bring(session: Bucket, chosen: Settings, name: str) -> None:
    """Copy a backup from the bucket under a temporary name, check it, and give it its own."""
    copies = listed(session, chosen)
    identifier = max(copies, default="") if name == "latest" else name
    if identifier not in copies:
        known = ", ".join(sorted(copies)[-5:]) or "none"
        raise StopError(f"{session.place.uri('')}: there is no backup {name!r}; the newest there: {known}")
    if (chosen.folder / identifier).exists():
        raise StopError(
            f"{chosen.folder / identifier} is there already. Check it: {hint.command('verify', identifier)}"
        )
    catalogue.sweep(chosen.folder)
    room.check([room.Room(chosen.folder, copies[identifier].bytes, f"the backup {identifier}")])
    folder = catalogue.begin(chosen.folder, identifier)
    try:
        progress = Progress("fetch")
        for file in copies[identifier].files:
            write(session, f"{identifier}/{file.name}", folder / file.name, file.sha256, progress)
        content = b"".join(session.read(f"{identifier}/{manifest.NAME}"))
        manifest.opened(content, chosen.keys)
        catalogue.commit(folder, content)
    except BaseException:
        durable.remove(folder)
        raise
    line.say("info", "the backup is here, every byte of it", id=identifier)


def write(session: Bucket, key: str, path: Path, wanted: str, progress: Progress) -> None:
    """Write what is stored under a key into a file; raise StopError when it is not what was stored."""
    found = hashlib.sha256()
    with path.open("wb") as file:
        for block in session.read(key):
            found.update(block)
            file.write(block)
            progress.tick()
        file.flush()
        os.fsync(file.fileno())
    if found.hexdigest() != wanted:
        raise StopError(f"{session.place.uri(key)}: what is stored there is not what was: its SHA-256 is another")
