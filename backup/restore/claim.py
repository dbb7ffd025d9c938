"""Takes a file out of the queue: a private copy is made and hashed, and the original moved, if it stayed the same."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from backup import durable, fault, seal
from backup.error import StopError
from restore import arrivals, foreign
from restore.arrivals import Seen
from restore.error import RejectedError

BLOCK = 1 << 20
COPY = "copy"
DIGEST = re.compile(r"(?P<digest>[0-9a-f]{64})\b.*", re.DOTALL)


class ChangedError(Exception):
    """The file is another one than was seen, or is still written to: it goes on waiting."""


class Claimed(NamedTuple):
    """A file's private copy."""

    sha256: str
    bytes: int


def take(watch: Path, seen: Seen, processing: Path, to: Path, most_bytes: int, tick: Callable[[int], None]) -> Claimed:
    """Copy a file and move the original and what lies beside it; raise ChangedError when it did not stay the same."""
    path = watch / seen.name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            raise ChangedError from None
        raise RejectedError(
            f"it cannot be read as uid {os.getuid()}: {error.strerror}. Give it to that user or its group: chmod g+r"
        ) from None
    with os.fdopen(descriptor, "rb") as source:
        same(os.fstat(source.fileno()), seen)
        if seen.size > most_bytes:
            raise RejectedError(f"it has {seen.size} bytes. RESTORE_MAX_BYTES={most_bytes} changes what is taken")
        digest = copy(source, to, seen.size, tick)
        fault.point("claim:copied")
        same(os.fstat(source.fileno()), seen)
        with contextlib.suppress(FileNotFoundError):
            same(os.lstat(path), seen)
            durable.rename(path, processing / seen.name)
            fault.point("claim:moved")
            beside(watch, seen.name, processing)
            return Claimed(digest, seen.size)
    raise ChangedError


def same(about: os.stat_result, seen: Seen) -> None:
    """Raise ChangedError unless this is the file that was seen, a regular one with one name."""
    if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
        raise ChangedError
    if arrivals.seen(seen.name, about).signature != seen.signature:
        raise ChangedError


def copy(source: BinaryIO, to: Path, size: int, tick: Callable[[int], None]) -> str:
    """Copy a file, durably, and return its hash; raise ChangedError as soon as it is longer than it was."""
    found = hashlib.sha256()
    count = 0
    with made(to) as target:
        while block := source.read(BLOCK):
            count += len(block)
            if count > size:
                raise ChangedError
            found.update(block)
            target.write(block)
            tick(count)
        target.flush()
        os.fsync(target.fileno())
    return found.hexdigest()


@contextlib.contextmanager
def made(path: Path) -> Iterator[BinaryIO]:
    """Make a file that nobody else can have prepared; a disk that fills up leaves none of it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno is None:
            # What went wrong is not the disk's fault.
            raise
        raise StopError(f"{path.parent}: {error.strerror}. Give the spool room, then put the file in again") from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def beside(watch: Path, name: str, processing: Path) -> None:
    """Move what lies beside the file and belongs to it."""
    for suffix in arrivals.BESIDE:
        with contextlib.suppress(FileNotFoundError):
            durable.rename(watch / f"{name}{suffix}", processing / f"{name}{suffix}")


def fetch(watch: Path, seen: Seen, processing: Path) -> None:
    """Move a file out of the queue that could not be taken, so that it is not tried again and again."""
    path = watch / seen.name
    with contextlib.suppress(OSError, ChangedError):
        same(os.lstat(path), seen)
        processing.mkdir(mode=0o750, parents=True, exist_ok=True)
        durable.rename(path, processing / seen.name)
        beside(watch, seen.name, processing)


def put_back(watch: Path, name: str, processing: Path) -> None:
    """Lay a file back into the queue, from which a crash took it half; never over one that came meanwhile."""
    for suffix in ("", *arrivals.BESIDE):
        path, place = processing / f"{name}{suffix}", watch / f"{name}{suffix}"
        if path.is_symlink() or not path.is_file():
            continue
        with contextlib.suppress(FileExistsError):
            os.link(path, place)
            path.unlink()
    durable.sync(watch)
    durable.remove(processing)


def expected(processing: Path, name: str) -> str | None:
    """Return the hash that a file beside says the file should have."""
    content = foreign.read(processing / f"{name}{arrivals.HASH}", 4096)
    if content is None:
        return None
    found = DIGEST.fullmatch(content.decode("utf-8", "replace").strip().lower())
    if not found:
        raise RejectedError(
            f"{name}{arrivals.HASH}: wanted a SHA-256 in hexadecimal: sha256sum FILE > FILE{arrivals.HASH}"
        )
    return found["digest"]


def is_sealed(path: Path) -> bool:
    """Tell whether a file is encrypted with age."""
    with path.open("rb") as file:
        return file.read(len(seal.MAGIC)) == seal.MAGIC
