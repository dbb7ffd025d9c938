"""Writing files so that a reader, or a machine that lost power, never sees half of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace the file by the content in one step; raise OSError and leave the old file when that is impossible."""
    temporary = _write_temporary(path, content, mode)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def create_private(path: Path, content: bytes) -> bool:
    """Create a file that only its owner reads (0600) and return True, or return False when there is one already.

    The file appears complete or not at all, and an existing one is never replaced, whoever else tries meanwhile.
    """
    if path.exists():
        return False
    temporary = _write_temporary(path, content, 0o600)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def digest_of_files(paths: Iterable[Path], base: Path) -> str:
    """Return a SHA-256 over the names (relative to base) and contents of the files, in a fixed order."""
    total = hashlib.sha256()
    for path in sorted(paths):
        name = path.relative_to(base).as_posix().encode()
        total.update(len(name).to_bytes(4, "big") + name)
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def read_text_or_none(path: Path) -> str | None:
    """Return the file's text, or None when there is no such file; other errors are raised."""
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def private_folder(path: Path) -> Path:
    """Create the folder (0700) with its parents where it is missing, and return it."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _write_temporary(path: Path, content: bytes, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    # Some file systems refuse to sync a folder; the rename has happened all the same.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
