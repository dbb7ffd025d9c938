"""Packs a build context: the same files give the same archive, and what .dockerignore names stays out."""

from __future__ import annotations

import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from offline.docker.ignore import Ignore

CHUNK_BYTES = 1 << 20
IN_MEMORY_BYTES = 32 << 20
OUTSIDE_NAME = ".dockerfile.outside-context"


def members(root: Path, ignore: Ignore) -> Iterator[tuple[str, Path]]:
    """Yield what a context holds as name and path, folders before what is in them, in the order of names."""
    yield from _below(root, "", ignore)


def _below(folder: Path, prefix: str, ignore: Ignore) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = f"{prefix}{entry.name}"
        excluded = ignore.excludes(name)
        folder_entry = entry.is_dir(follow_symlinks=False)
        if not excluded:
            yield name, Path(entry.path)
        if folder_entry and (not excluded or ignore.may_include_below(name)):
            yield from _below(Path(entry.path), f"{name}/", ignore)


def context_archive(root: Path, dockerfile: Path) -> tuple[_Packed, str]:
    """Return the archive, to be used with `with`, and the Dockerfile's name in it."""
    relative = os.path.relpath(dockerfile, root)
    outside = relative.startswith("..")
    name = OUTSIDE_NAME if outside else relative.replace(os.sep, "/")
    ignore = Ignore.of(root, keep=() if outside else (name,))
    return _Packed(root, ignore, (OUTSIDE_NAME, dockerfile) if outside else None), name


class _Packed:
    """An archive on its way to the daemon: packed into a temporary file when entered, gone when left."""

    def __init__(self, root: Path, ignore: Ignore, extra: tuple[str, Path] | None) -> None:
        self._root, self._ignore, self._extra = root, ignore, extra
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Iterator[bytes]:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)
        pack(self._file, self._root, self._ignore, self._extra)
        self._file.seek(0)
        return iter(lambda: self._file.read(CHUNK_BYTES) if self._file else b"", b"")

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def pack(target: IO[bytes], root: Path, ignore: Ignore, extra: tuple[str, Path] | None = None) -> None:
    """Write a context as a tar archive: modes kept, owner root, times as on disk, symbolic links as links."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in members(root, ignore):
            _add(tar, name, path)
        if extra is not None:
            _add(tar, extra[0], extra[1])


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    status = path.lstat()
    if stat.S_ISSOCK(status.st_mode):
        return
    member = tarfile.TarInfo(name)
    member.mode = stat.S_IMODE(status.st_mode)
    member.mtime = int(status.st_mtime)
    if stat.S_ISLNK(status.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)  # noqa: PTH115  the text, not a path
        tar.addfile(member)
    elif stat.S_ISDIR(status.st_mode):
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    elif stat.S_ISREG(status.st_mode):
        member.size = status.st_size
        with path.open("rb") as content:
            tar.addfile(member, content)
