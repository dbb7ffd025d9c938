"""The steps for an SQLite file: a copy beside it, checked, and exchanged with it at one moment."""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import json
import os
import shutil
import sqlite3
import stat
import time
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

from backup import contents, durable, fault
from backup import sqlite as original
from backup.error import StopError
from restore import claim
from restore.asking import FILE
from restore.context import Context
from restore.decision import Facts, Place
from restore.error import RejectedError
from restore.job import Job

KINDS = ("db",)
MAGIC = b"SQLite format 3\0"
GZIP = b"\x1f\x8b"
BLOCK = 1 << 20
WANTED = "wanted.json"
SIDECARS = ("-wal", "-shm", "-journal")
AT_FDCWD = -100
RENAME_EXCHANGE = 2
BUSY_SECONDS = 3.0


def target(context: Context) -> Path:
    """Return the live file."""
    assert context.chosen.sqlite is not None  # noqa: S101 - settings see to it
    return context.chosen.sqlite


def incoming(context: Context, job: Job) -> Path:
    """Return the file that is to be live: beside it, as only there it can be exchanged."""
    given = job.data.get("incoming")
    return target(context).with_name(str(given) if given else f".{target(context).name}.r-{job.id}")


def aside(context: Context, job: Job) -> Path:
    """Return where the file that was live before is kept."""
    return target(context).with_name(f"{target(context).name}.pre-{job.id}")


def beside(path: Path) -> list[Path]:
    """Return where SQLite keeps what belongs to a file."""
    return [path.with_name(f"{path.name}{suffix}") for suffix in SIDECARS]


def number(path: Path) -> int:
    """Return the number of a file, by which it is known under whatever name; 0 for none."""
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return 0


def facts(context: Context, job: Job) -> Facts:
    """Return what is so in the folder."""
    live = number(target(context))
    place: Place = "other"
    if live and live == job.data.get("new_oid"):
        place = "new"
    elif live == job.data.get("old_oid", live):
        place = "old"
    # What lay beside the live file is put aside just before the exchange, and belongs back when there is none.
    apart = job.began("swap") and any(path.exists() for path in beside(aside(context, job)))
    return Facts(place, open=not apart, scratch=number(incoming(context, job)) != 0)


def validate(context: Context, job: Job) -> dict[str, Any]:
    """Decompress the file and look whether it is a whole SQLite database."""
    path = unpacked(context, job)
    look(context, job, path, RejectedError)
    return {"old_oid": number(target(context)), "room": shutil.disk_usage(target(context).parent).free}


def validate_undo(context: Context, job: Job) -> dict[str, Any]:
    """Look whether the kept file is there still."""
    if number(incoming(context, job)) != job.data["new_oid"]:
        raise RejectedError(f"{incoming(context, job)} is not there any more. See: python -m restore list")
    return {"old_oid": number(target(context))}


def unpacked(context: Context, job: Job) -> Path:
    """Return the job's private copy, decompressed if it was compressed."""
    path = context.shared(job.id) / FILE
    with path.open("rb") as file:
        head = file.read(2)
    if (head == GZIP) != (job.data.get("compressed") is True):
        raise RejectedError(
            f"its name says it is {'' if job.data.get('compressed') else 'not '}compressed, and it is not so"
        )
    clear = path.with_name("clear.db")
    clear.unlink(missing_ok=True)
    if head != GZIP:
        return path
    try:
        with gzip.open(path) as packed, claim.made(clear) as file:
            count = 0
            while block := packed.read(BLOCK):
                count += len(block)
                if count > context.chosen.most_bytes:
                    raise RejectedError(f"it holds more than {context.chosen.most_bytes} bytes: RESTORE_MAX_BYTES")
                file.write(block)
                context.tick({"step": job.step, "bytes": count})
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise RejectedError("it is compressed and cut off or damaged. Copy it again") from None
    return clear


def look(context: Context, job: Job, path: Path, failure: type[StopError]) -> int:
    """Return the rows of a database; raise the failure when it is not one, not whole, or not what its manifest says."""
    with path.open("rb") as file:
        if file.read(16) != MAGIC:
            raise failure("it does not begin as an SQLite database does. Put in a copy by `.backup` or a backup")
    try:
        with closing(original.connect(path)) as session:
            found = [original.decoded(row[0]) for row in session.execute("PRAGMA integrity_check(5)")]
            if found != ["ok"]:
                raise failure(f"it is damaged: {'; '.join(found)[:300]}. Take another copy")
            got = original.read(session, lambda: context.tick({"step": job.step}))
    except sqlite3.Error as error:
        raise failure(f"SQLite says: {error}. Take another copy") from None
    violations = got.objects.get("foreign key violations", 0)
    if violations:
        raise failure(f"{violations} rows refer to rows that are not there (foreign keys). Take another copy")
    wanted = context.processing(job.id) / WANTED
    if wanted.exists():
        unlike = contents.differences(contents.from_document(json.loads(wanted.read_bytes())), got)
        if unlike:
            raise failure(f"it is not what was backed up: {'; '.join(unlike[:5])}. Take another backup")
    return got.rows


def before_load(context: Context, job: Job) -> dict[str, Any]:
    """Return what is written down before the copy is made."""
    return {"scratch": incoming(context, job).name}


def load(context: Context, job: Job) -> dict[str, Any]:
    """Copy the database beside the live one, with its owner and rights."""
    clear = context.shared(job.id) / "clear.db"
    source = clear if clear.exists() else context.shared(job.id) / FILE
    path = incoming(context, job)
    path.unlink(missing_ok=True)
    fault.point("load:asked")
    try:
        with source.open("rb") as packed, claim.made(path) as file:
            shutil.copyfileobj(packed, file, BLOCK)
            like(target(context), file.fileno())
            file.flush()
            os.fsync(file.fileno())
    except PermissionError as error:
        raise StopError(f"{path.parent}: {error.strerror} as uid {os.getuid()}. Let it write there") from None
    durable.sync(path.parent)
    context.write(job.id, "load", "made", {"new_oid": number(path)})
    return {}


def like(live: Path, descriptor: int) -> None:
    """Give an open file the live one's owner and rights, as far as this process may."""
    with contextlib.suppress(FileNotFoundError):
        about = live.stat()
        os.fchmod(descriptor, stat.S_IMODE(about.st_mode))
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, about.st_uid, about.st_gid)


def verify(context: Context, job: Job) -> dict[str, Any]:
    """Look at the copy as it lies there."""
    path = incoming(context, job)
    rows = look(context, job, path, StopError)
    # Looking may leave some beside it; they hold nothing.
    for left in beside(path):
        left.unlink(missing_ok=True)
    return {"rows": rows}


def fence(context: Context, job: Job) -> dict[str, Any]:
    """See that nobody has the live file open, and that all that was written to it is in it."""
    del job
    live = target(context)
    if not live.exists():
        return {}
    try:
        with closing(sqlite3.connect(live, timeout=BUSY_SECONDS)) as session:
            session.isolation_level = None
            busy, _, _ = session.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            session.execute("PRAGMA locking_mode = EXCLUSIVE")
            session.execute("BEGIN EXCLUSIVE")
            session.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise in_use(live) from None
        # A damaged one is why there is a restore: it is kept with all that lies beside it.
        return {"live_trouble": str(error)}
    if busy or nonempty(live.with_name(f"{live.name}-wal")):
        raise in_use(live)
    return {}


def in_use(live: Path) -> StopError:
    """Return the error for a file that somebody writes to still."""
    return StopError(f"{live}: somebody has it open still. Name what uses it in RESTORE_STOP_CONTAINERS")


def nonempty(path: Path) -> bool:
    """Tell whether a file is there with something in it."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def shut(context: Context, job: Job) -> dict[str, Any]:
    """See that nobody has the live file open before anything is loaded."""
    return fence(context, job)


def recheck(context: Context, job: Job) -> dict[str, Any]:
    """Return nothing: no migration runs beside a restore of a file whose users are stopped."""
    del context, job
    return {}


def before_swap(context: Context, job: Job) -> dict[str, Any]:
    """Return what is written down before the files change places."""
    return {"aside": aside(context, job).name}


def swap(context: Context, job: Job) -> dict[str, Any]:
    """Exchange both files at one moment; what lay beside the old one never meets the new one."""
    live, new = target(context), incoming(context, job)
    if number(new) != job.data["new_oid"]:
        raise StopError(f"{new}: is another file than was made. Nothing was changed")
    move(live, aside(context, job))
    durable.sync(live.parent)
    fault.point("swap:between")
    if job.data["old_oid"]:
        exchange(new, live)
    else:
        new.rename(live)
    fault.point("swap:renamed")
    durable.sync(live.parent)
    fault.point("swap:committed")
    return {}


def exchange(one: Path, other: Path) -> None:
    """Give two files each other's names at one moment; raise StopError where the file system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    done = library.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    if done != 0:
        code = ctypes.get_errno()
        raise StopError(f"{other}: cannot be exchanged with {one.name}: {os.strerror(code)}. Use another file system")


def open_up(context: Context, job: Job) -> dict[str, Any]:
    """Give the file that was live before the name that it is kept under."""
    old = incoming(context, job)
    if number(old) and number(old) == job.data["old_oid"]:
        durable.rename(old, aside(context, job))
    return {}


def upgrade(context: Context, job: Job) -> dict[str, Any]:
    """Do nothing: whoever has an SQLite file upgrades it when it starts."""
    del context, job
    return {}


def back(context: Context, job: Job) -> dict[str, Any]:
    """Exchange the files again."""
    live = target(context)
    for old in (aside(context, job), incoming(context, job)):
        if number(old) == job.data["old_oid"] != 0:
            for path in beside(live):
                path.unlink(missing_ok=True)
            exchange(old, live)
            durable.rename(old, incoming(context, job))
            return {}
    if not job.data["old_oid"]:
        durable.rename(live, incoming(context, job))
        return {}
    raise StopError(f"{aside(context, job)}: the file that was live before is not there. Put it back by hand")


def reopen(context: Context, job: Job) -> dict[str, Any]:
    """Lay what was beside the old file beside it again."""
    move(aside(context, job), target(context))
    durable.sync(target(context).parent)
    return {}


def move(old: Path, new: Path) -> None:
    """Move what lies beside a file to where it belongs to another name."""
    for here, there in zip(beside(old), beside(new), strict=True):
        if here.exists():
            here.rename(there)


def discard(context: Context, job: Job) -> dict[str, Any]:
    """Remove the file that did not come to be live."""
    incoming(context, job).unlink(missing_ok=True)
    durable.sync(target(context).parent)
    return {}


def kept(context: Context, job: Job) -> dict[str, Any] | None:
    """Return the file that was live before, as it is kept; None where there was none."""
    oid = int(job.data.get("old_oid", 0))
    return {"job": job.id, "name": aside(context, job).name, "oid": oid, "at": time.time()} if oid else None


def forget(context: Context, name: str, oid: int) -> None:
    """Remove a file that is kept no more, with what lies beside it."""
    path = target(context).with_name(name)
    if number(path) == oid:
        for each in (path, *beside(path)):
            each.unlink(missing_ok=True)
        durable.sync(path.parent)
