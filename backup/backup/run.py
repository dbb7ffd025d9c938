"""`run`: makes one backup, step by step; it has its name only when every step has succeeded."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from backup import (
    VERSION,
    bucket,
    catalogue,
    clock,
    connection,
    fault,
    hint,
    line,
    manifest,
    newest,
    notice,
    offsite,
    postgres,
    prune,
    retention,
    seal,
    settings,
    sqlite,
    state,
    throwaway,
    url,
    writeback,
)
from backup.error import StopError
from backup.made import Piece
from backup.manifest import Manifest, StoredFile
from backup.notice import Channels, Event
from backup.settings import Settings
from backup.state import State
from backup.url import Postgres, Target


def main(arguments: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> int:
    """Make a backup and prune older ones; return 0 when every step succeeded, else 1. With --wait, wait for others."""
    if list(arguments) not in ([], ["--wait"]):
        line.say("error", f"run: got {' '.join(arguments)!r}, wanted nothing or --wait")
        return 2
    began = time.monotonic()
    try:
        chosen = settings.read(environ)
        target = url.find(environ)
        chosen.key()
        channels, place = notice.find(environ), bucket.find(environ)
        lock = catalogue.claim(chosen.folder, wait=bool(arguments))
    except StopError as error:
        line.say("error", str(error))
        return 1
    try:
        return attempt(chosen, target, channels, place, environ, began)
    finally:
        os.close(lock)


def attempt(
    chosen: Settings,
    target: Target,
    channels: Channels,
    place: bucket.Place | None,
    environ: Mapping[str, str],
    began: float,
) -> int:
    """Make a backup under the lock, and tell everybody what came of it."""
    before = state.read(chosen.folder)
    notice.tell(channels, Event("start", {"database": target.database}))
    made: Manifest | None = None
    try:
        # Until the end says otherwise this run has failed: then nothing is pruned, also when it is killed.
        state.write(chosen.folder, replace(before, last_result=state.UNFINISHED, last_error="it did not end"))
        made, error = make(chosen, target, place, environ)
    except (StopError, OSError, psycopg.Error) as failure:
        error = explain(failure)
        line.say("error", f"no backup was made: {error}. What there was is as it was", seconds=elapsed(began))
    after = state.after_run(before, clock.read(), elapsed(began), error)
    with contextlib.suppress(OSError):
        state.write(chosen.folder, after)
    if not error:
        prune.automatic(chosen, before, place)
    newest.write(chosen)
    for name in [*(["recovered"] if not error and before.failures_in_a_row else []), "failure" if error else "success"]:
        notice.tell(channels, Event(name, summary(target, made, error, after)))
    return 1 if error else 0


def summary(target: Target, made: Manifest | None, error: str, after: State) -> dict[str, object]:
    """Return what others are told of a run."""
    about: dict[str, object] = {"database": target.database, "seconds": after.last_seconds}
    if made is not None:
        about |= {"id": made.id, "bytes": made.bytes, "rows": made.rows, "verified": made.level}
        about |= {"copies": [copy["uri"] for copy in made.offsite]}
        about |= {"suspect": made.suspect} if made.suspect else {}
    return about | ({"error": error, "failures_in_a_row": after.failures_in_a_row} if error else {})


def elapsed(began: float) -> float:
    """Return the seconds since then."""
    return round(time.monotonic() - began, 3)


def explain(failure: BaseException) -> str:
    """Return a failure's words."""
    if isinstance(failure, OSError):
        return f"{failure.filename or 'the disk'}: {failure.strerror}"
    if isinstance(failure, psycopg.Error):
        return f"the session with the server was lost: {connection.words(failure)}"
    return str(failure).rstrip(".")


def make(
    chosen: Settings, target: Target, place: bucket.Place | None, environ: Mapping[str, str]
) -> tuple[Manifest, str]:
    """Make a backup; return its manifest, and why there is no copy elsewhere if that alone failed.

    Whatever else fails, nothing of the backup stays.
    """
    for name in catalogue.sweep(chosen.folder):
        line.say("warning", "removed what a killed run left", name=name)
    throwaway.clear(chosen.work)
    began = datetime.now(UTC)
    identifier = catalogue.new_id(began)
    fault.point("begin:before")
    folder = catalogue.begin(chosen.folder, identifier)
    try:
        with writeback.steady(folder, chosen.work):
            if isinstance(target, Postgres):
                made = postgres.make(chosen, target, folder)
            else:
                made = sqlite.make(chosen, target, folder)
            fault.point("encrypt:before")
            files = tuple(stored(chosen, piece) for piece in made.pieces)
        copies, trouble = copied(place, identifier, folder, files)
        found = Manifest(
            id=identifier,
            database=target.database,
            kind="postgres" if isinstance(target, Postgres) else "sqlite",
            created=began.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            tool_version=VERSION,
            files=files,
            server=made.server,
            snapshot=made.snapshot,
            contents=made.contents.document(),
            verify=made.verify,
            recipients=chosen.recipients,
            offsite=copies,
            app=release(environ),
        )
        found = judged(chosen, found)
        final = catalogue.commit(folder, manifest.signed(found, chosen.key()))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    line.say(
        "info",
        "backup made, restored and compared",
        id=identifier,
        bytes=found.bytes,
        tables=len(made.contents.tables),
        rows=found.rows,
        suspect=found.suspect or None,
    )
    if place is not None and not trouble:
        try:
            offsite.commit(place, identifier, final)
        except StopError as error:
            trouble = alone(error)
    return found, trouble


def copied(
    place: bucket.Place | None, identifier: str, folder: Path, files: Sequence[StoredFile]
) -> tuple[tuple[dict[str, str], ...], str]:
    """Return the copies elsewhere, and why there is none: a backup that is only here is better than none at all."""
    if place is None:
        return (), ""
    try:
        return (offsite.store(place, identifier, folder, files),), ""
    except StopError as error:
        return (), alone(error)


def alone(error: StopError) -> str:
    """Tell that a backup is only here, and return that."""
    text = f"the backup is good, but only here: {str(error).rstrip('.')}"
    line.say("error", text)
    return text


def release(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what is known of the app whose data this is."""
    return {key: environ[name] for key, name in (("release", "APP_RELEASE"),) if environ.get(name)}


def judged(chosen: Settings, found: Manifest) -> Manifest:
    """Return the manifest with what makes it suspect beside those before it, if anything does."""
    before = [
        retention.Size(entry.manifest.bytes, entry.manifest.rows, entry.note.accepted)
        for entry in catalogue.entries(chosen.folder, chosen.keys)
        if entry.manifest is not None and entry.good and entry.manifest.database == found.database
    ]
    why = retention.suspicion(before, retention.Size(found.bytes, found.rows))
    if why:
        line.say("warning", f"this backup is suspect: {why}. If that is right: {hint.command('accept', found.id)}")
    return replace(found, suspect=why)


def stored(chosen: Settings, piece: Piece) -> StoredFile:
    """Encrypt a file where that is asked for, and return what the manifest tells of it."""
    path = piece.path
    plain_bytes, plain = path.stat().st_size, seal.digest(path)
    if chosen.recipients:
        path = seal.seal(path, chosen.recipients, chosen.step_seconds)
    digest = seal.digest(path) if chosen.recipients else plain
    size = path.stat().st_size
    return StoredFile(path.name, piece.role, piece.format, size, digest, plain_bytes, plain, piece.compression)
