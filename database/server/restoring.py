"""`restore`: fills a new volume with the cluster as it was at a moment, recovers it apart, and proves it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

from server import (
    archiving,
    bucket,
    cluster,
    line,
    memory,
    moment,
    pgbackrest,
    proof,
    reach,
    repository,
    setting,
    settings,
    volume,
    window,
)
from server.bucket import Bucket
from server.error import StopError
from server.reach import Way
from server.recovery import Server
from server.repository import Contents

RECEIPT = volume.ROOT / "restored.json"
PARTIAL = volume.ROOT / "data.restoring"
LATEST = "latest"
DATABASE = "scaffold"
CHECK_SECONDS = 86_400.0
BACKUP_SECONDS = 3600.0
SPARE_BYTES = 128 << 20
"""Room for what the recovery itself writes."""


class Target(NamedTuple):
    """What to restore to: a moment as it is written, and in seconds; 0 for the last that was archived."""

    written: str
    seconds: float


def main() -> int:
    """Restore and return 0; 1 with the reason, and with nothing that looks like a cluster, when it cannot be done."""
    try:
        restore(target_from(setting.read("RESTORE_TO", os.environ) or ""))
    except (StopError, pgbackrest.ToolError) as error:
        line.say("error", str(error))
        return 1
    except OSError as error:
        line.say("error", f"{error.filename or volume.ROOT}: {error.strerror}. Look at the volume's space and owner")
        return 1
    return 0


def target_from(written: str) -> Target:
    """Return what to restore to; raise StopError for what is none."""
    if written == LATEST:
        return Target(written, 0.0)
    try:
        return Target(written, moment.read(written))
    except ValueError as error:
        raise StopError(f"RESTORE_TO: {error}, or {LATEST}") from None


def restore(target: Target) -> None:
    """Restore into this container's volume, unless that has been done already."""
    # Looked at first: what was restored may be in use by now.
    if already_there(target):
        line.say("info", "this volume has been restored before: nothing is done", to=target.written)
        return
    if volume.claim(volume.ROOT) is None:
        raise StopError(f"{volume.ROOT}: another container uses this volume, wanted a new one")
    began = time.monotonic()
    if PARTIAL.exists():
        volume.remove_tree(PARTIAL)
        line.say("warning", "removed a restore that was interrupted", path=str(PARTIAL))
    where = bucket.find(os.environ)
    archiving.configure(None, PARTIAL, where)
    with repository.held(shared=True, seconds=BACKUP_SECONDS) as free:
        if not free:
            raise StopError(
                f"a backup is being made, and is not done after {BACKUP_SECONDS:.0f} s. Run this again later"
            )
        contents = repository.look()
        if not contents.backups:
            raise StopError(
                f"{archiving.place(where)}: no backup is there. With pitr the database makes the first one by itself"
            )
        if where and (later := setting.read("LATER_PREFIX", os.environ)):
            refuse_what_was_given_up(where, later)
        way = way_or_refuse(target, contents)
        refuse_without_room(way)
        fetch(target, way)
        found = recover(target, way, contents)
    finish(target, way, found, round(time.monotonic() - began, 1))


def already_there(target: Target) -> bool:
    """Return whether this was done before; raise StopError for a volume with another cluster."""
    if not cluster.inspect(volume.DATA):
        return False
    try:
        receipt: dict[str, Any] = json.loads(RECEIPT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        receipt = {}
    if receipt.get("to") != target.written:
        what = f"what was restored to {receipt['to']}" if receipt.get("to") else "a cluster"
        raise StopError(f"{volume.ROOT}: the volume holds {what}, wanted a new one. It was left as it is")
    return True


def refuse_what_was_given_up(where: Bucket, later: str) -> None:
    """Raise StopError where the stack's archive has gone on below a later prefix: this one's end is not the data's.

    It goes on there after a recovery from a backup, and a recovery kit from before that does not know it. What was
    encrypted with another passphrase is another stack's.
    """
    try:
        found = pgbackrest.info(below=later)
    except pgbackrest.ToolError as error:
        line.say("warning", f"whether an archive has gone on below {later} cannot be told: {error}")
        return
    if made := [float(each["timestamp"]["stop"]) for each in found.get("backup") or []]:
        raise StopError(
            f"{where.uri}: this stack's archive has gone on below {later}, until {moment.shown(max(made))} at least; "
            f"wanted the one that has all. pulumi config set pitrS3Prefix {later}, and run this again; if that was a "
            "trial, remove it from the bucket first"
        )


def way_or_refuse(target: Target, contents: Contents) -> Way:
    """Return how to get there; raise StopError with what can be reached where there is no way."""
    if target.written == LATEST:
        way = reach.way_to_latest(*contents)
        why = "the end of the archive cannot be reached: segments before it are missing"
    else:
        way = reach.way_to(target.seconds, *contents)
        why = f"{target.written} cannot be reached"
    if way is None:
        raise StopError(f"{why}; {window.in_words(contents)}. Choose a moment in there: make restore-pit TO=…")
    return way


def refuse_without_room(way: Way) -> None:
    """Raise StopError where the volume has no room for the backup."""
    place = os.statvfs(volume.ROOT)
    free, wanted = place.f_bavail * place.f_frsize, way.backup.size * 11 // 10 + SPARE_BYTES
    if free < wanted:
        raise StopError(
            f"{volume.ROOT}: {free >> 20} MiB are free, wanted {wanted >> 20} MiB for the backup {way.backup.label}. "
            "Make room on the machine, or a larger claim"
        )


def fetch(target: Target, way: Way) -> None:
    """Have pgBackRest fetch the backup, and tell the server what to recover to."""
    words = [f"--set={way.backup.label}", f"--target-timeline={way.timeline}", "--archive-mode=off"]
    if target.written != LATEST:
        words += ["--type=time", f"--target={moment.shown(target.seconds).replace('T', ' ').rstrip('Z')}+00"]
        words += ["--target-action=promote"]
    began = time.monotonic()
    line.say("info", "fetching the backup", label=way.backup.label, bytes=way.backup.size, timeline=way.timeline)
    PARTIAL.mkdir(mode=0o700)
    pgbackrest.run(
        "restore", *words, seconds=pgbackrest.LONG_SECONDS,
        still=lambda passed: line.say("info", "still fetching the backup", seconds=passed),
    )  # fmt: skip
    line.say("info", "the backup is fetched", seconds=round(time.monotonic() - began, 1))


def recover(target: Target, way: Way, contents: Contents) -> proof.Proof:
    """Recover to the target, prove what is there, and stop cleanly."""
    sizing = settings.size(memory.left(memory.limit(os.environ), archiving.MEMORY_MB))
    last = repository.name_of(contents.archive.holder(way.timeline, way.last), way.last)
    server = Server(PARTIAL, sizing, last)
    try:
        server.listen()
        if target.written == LATEST:
            server.refuse_a_break()
        found = proof.take(os.environ.get("DATABASE", DATABASE))
        server.stop()
    finally:
        server.kill()
    check_every_page()
    return found


def check_every_page() -> None:
    """Compare the checksum of every page of every file, indexes too; raise StopError where one differs."""
    began = time.monotonic()
    command = [str(cluster.BINARIES / "pg_checksums"), "--check", "--pgdata", str(PARTIAL)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise StopError(f"the restored cluster has broken pages: {' '.join(lines)}")
    line.say("info", "the checksum of every page is right", seconds=round(time.monotonic() - began, 1))


def finish(target: Target, way: Way, found: proof.Proof, seconds: float) -> None:
    """Leave nothing of the recovery, have the next start archive the new timeline, and give the cluster its name."""
    for name in ("backup_label.old", "tablespace_map.old"):
        (PARTIAL / name).unlink(missing_ok=True)
    volume.write(PARTIAL / "postgresql.auto.conf", "# Settings come from postgresql.conf alone.\n")
    hand_to_archive(PARTIAL / "pg_wal", found.timeline, current_segment())
    receipt = {
        "to": target.written,
        "backup": way.backup.label,
        "along": way.timeline,
        "timeline": found.timeline,
        "rows": found.rows,
        "tables": found.tables,
        "at": line.timestamp(time.time()),
        "seconds": seconds,
    }
    volume.write(RECEIPT, json.dumps(receipt, indent=1) + "\n")
    cluster.adopt(volume.DATA, PARTIAL)
    line.say("info", "restored and proven", roles=found.roles, **receipt)


def hand_to_archive(wal: Path, timeline: int, current: str) -> None:
    """Mark what the new timeline has as waiting: the server that recovered archived nothing.

    The current segment goes on; what lies behind it are old files that wait to be written anew.
    """
    prefix = f"{timeline:08X}"
    for name in sorted(path.name for path in wal.iterdir() if path.name.startswith(prefix)):
        if name.endswith(".history") or (len(name) == len(current) and name < current):
            (wal / "archive_status" / f"{name}.ready").touch(mode=0o600)
    volume.sync(wal / "archive_status")


def current_segment() -> str:
    """Return the name of the segment in which the cluster stopped."""
    command = [str(cluster.BINARIES / "pg_controldata"), "--pgdata", str(PARTIAL)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"LANG": "C"})
    for text in done.stdout.splitlines():
        key, _, value = text.partition(":")
        if key == "Latest checkpoint's REDO WAL file":
            return value.strip()
    raise StopError(f"pg_controldata does not tell where the restored cluster stopped: {done.stderr.strip()}")
