"""The journal: what was begun and what was done, one durable line each, written before the next thing happens."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from backup import durable, fault, line
from backup.error import StopError

SCHEMA = 1
LONGEST = 1 << 20
# Written anew, without what has ended, when it is larger than this and nothing is under way.
LARGE = 1 << 20
FIRST = "0" * 16


class Record(NamedTuple):
    """One line: which job's which step, what about it, when, and what belongs to it."""

    job: str
    step: str
    phase: str
    at: float
    data: dict[str, Any]


class UnusableError(StopError):
    """The journal cannot be believed, so nothing is done until somebody has looked."""


def seal(before: str, body: str) -> str:
    """Return what a line is sealed with: it covers the seal of the line before, so that none can be missing."""
    return hashlib.sha256(f"{before}{body}".encode()).hexdigest()[:16]


def rendered(record: Record, before: str) -> tuple[str, str]:
    """Return a record as its line, and the line's seal."""
    body = json.dumps({"v": SCHEMA, **record._asdict()}, sort_keys=True, separators=(",", ":"), default=str)
    mark = seal(before, body)
    return f"{mark} {body}\n", mark


def parsed(content: bytes, path: Path) -> tuple[list[Record], str, int]:
    """Return the records, the last one's seal, and how many bytes they are.

    A last line without its end is the one that a crash cut off before anybody acted on it: it never was. Anything else
    that is wrong raises UnusableError.
    """
    found: list[Record] = []
    before, length = FIRST, 0
    for number, raw in enumerate(content.splitlines(keepends=True), 1):
        if not raw.endswith(b"\n"):
            break
        mark, _, body = raw[:-1].decode("utf-8", "replace").partition(" ")
        if mark != seal(before, body):
            raise UnusableError(f"{path}: line {number} is not as it was written. {mend(path)}")
        document = json.loads(body)
        if document.pop("v", None) != SCHEMA:
            raise UnusableError(
                f"{path}: line {number} is of another version than {SCHEMA}: use the image that wrote it"
            )
        found.append(Record(**document))
        before, length = mark, length + len(raw)
    return found, before, length


def believed(content: bytes, path: Path) -> tuple[list[Record], str, int]:
    """Return what `parsed` does; raise UnusableError for an empty journal too, which none ever is."""
    records, mark, length = parsed(content, path)
    if not records:
        raise UnusableError(f"{path}: is empty, which it never is. {mend(path)}")
    return records, mark, length


def mend(path: Path) -> str:
    """Return what to do about a journal that cannot be believed."""
    return (
        "Nothing is restored until somebody has looked which database is live and whether the app runs; then move "
        f"{path.name} and the folder processing away and start again"
    )


class Journal:
    """The open journal; whoever has it open is the only one."""

    def __init__(self, path: Path, descriptor: int, records: list[Record], mark: str) -> None:
        """Take what `opened` found."""
        self.path = path
        self.descriptor = descriptor
        self.records = records
        self.mark = mark
        self.size = os.fstat(descriptor).st_size

    def append(self, record: Record) -> None:
        """Add a record and return when it is durable."""
        name = f"{record.step}.{record.phase}"
        fault.point(f"{name}:before")
        text, mark = rendered(record, self.mark)
        content = text.encode()
        if len(content) > LONGEST:
            raise StopError(f"{self.path}: a record of {name} has {len(content)} bytes, wanted at most {LONGEST}")
        try:
            self.put(content)
        except OSError as error:
            # What was written of it goes, so that the next record does not follow half a line.
            os.ftruncate(self.descriptor, self.size)
            raise StopError(
                f"{self.path}: cannot be written: {error.strerror}. Give it room, or mend its disk"
            ) from None
        self.mark, self.size = mark, self.size + len(content)
        self.records.append(record)
        fault.point(f"{name}:after")

    def put(self, content: bytes) -> None:
        """Write a line and make it durable."""
        if os.write(self.descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self.descriptor)

    def of(self, job: str) -> list[Record]:
        """Return a job's records."""
        return [record for record in self.records if record.job == job]

    def last_job(self) -> str:
        """Return the job that was written of last; empty without any."""
        return next((record.job for record in reversed(self.records) if record.job), "")

    def trim(self, keep: Mapping[str, Any]) -> None:
        """Begin the journal anew when it has grown and nothing is under way; `keep` is what it begins with."""
        if self.size < LARGE:
            return
        text, mark = rendered(first(keep), FIRST)
        # Its lock goes with the file, so the new one is locked before it has the name.
        new = self.path.with_name(f".{self.path.name}.new")
        descriptor = locked(new, os.O_TRUNC)
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
        durable.rename(new, self.path)
        os.close(self.descriptor)
        self.descriptor, self.mark, self.size, self.records = descriptor, mark, len(text), [first(keep)]

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


def first(keep: Mapping[str, Any]) -> Record:
    """Return the record that a journal begins with."""
    return Record("", "journal", "begin", 0.0, dict(keep))


def locked(path: Path, flags: int = 0) -> int:
    """Open a file for adding to it and lock it; raise StopError when another process has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o640)
    except OSError as error:
        raise StopError(
            f"{path}: cannot be opened as uid {os.getuid()}: {error.strerror}. Mount a volume there, or for a host "
            f"folder run: chown {os.getuid()}:{os.getgid()} FOLDER"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise BusyError(f"{path}: another restore service has it. This one waits until that has ended") from None
    return descriptor


class BusyError(StopError):
    """Another restore service runs on the same journal."""


def opened(path: Path, *, traces: Iterator[str]) -> Journal:
    """Open the journal, or begin one where there was none; `traces` tells of what only an earlier one can have left.

    Raise UnusableError for one that cannot be believed, BusyError while another process has it.
    """
    if not path.exists():
        left = next(traces, "")
        if left:
            raise UnusableError(f"{path}: is not there, but {left} is: there was one. {mend(path)}")
        text, _ = rendered(first({}), FIRST)
        durable.write(path, text.encode())
    descriptor = locked(path)
    try:
        content = path.read_bytes()
        records, mark, length = believed(content, path)
        if length < len(content):
            line.say("warning", "the journal's last line was cut off by a crash: it is as if it had never been")
            os.ftruncate(descriptor, length)
            os.fsync(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return Journal(path, descriptor, records, mark)
