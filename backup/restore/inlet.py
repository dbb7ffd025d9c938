"""Reads a file of the spool, clear or packed by gzip, up to a bound and to its very end."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from restore.lexer import CUT
from restore.refusal import RefusalError

PIECE = 256 << 10
GZIP = b"\x1f\x8b"
CUSTOM = b"PGDMP"
SQLITE = b"SQLite format 3\x00"
TAR_AT, TAR = 257, b"ustar"
# zlib's way to say: a gzip header and trailer, both checked.
AS_GZIP = 31


def opened(path: Path) -> IO[bytes]:
    """Open a file that is one, and no link; raise RefusalError for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise RefusalError(f"{path.name}: cannot be opened: {error.strerror}", "Put the file here again") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusalError(f"{path.name}: is no file", "Put the dump itself here, no link and no pipe")
    return os.fdopen(descriptor, "rb", buffering=0)


class Inlet:
    """Gives what is in a file piece by piece; raises RefusalError when that is not whole or more than allowed."""

    def __init__(self, file: IO[bytes], *, packed: bool, most: int, tick: Callable[[], None] = lambda: None) -> None:
        """Take an open file, and how many bytes it may come to."""
        self.taken = 0  # of the file
        self.given = 0
        self._file = file
        self._most = most
        self._tick = tick
        self._packed = packed
        self._unpacking = zlib.decompressobj(AS_GZIP)
        self._members = 0
        self._rest = b""

    def read(self) -> bytes:
        """Return the next piece, and nothing at the end."""
        self._tick()
        piece = self._unpacked() if self._packed else self._take()
        self.given += len(piece)
        if self.given > self._most:
            raise RefusalError(
                f"it comes to more than the {self._most} bytes that may be restored",
                "If the file is right, allow more with RESTORE_MAX_BYTES",
            )
        return piece

    def _take(self) -> bytes:
        """Return the next bytes of the file itself."""
        piece = self._file.read(PIECE)
        self.taken += len(piece)
        return piece

    def _unpacked(self) -> bytes:
        """Return a piece of what is packed, no more however small it was packed; several packed parts are one."""
        while True:
            if not self._members or self._unpacking.eof:
                if not self._another():
                    return b""
            elif not self._rest:
                self._rest = self._take()
                if not self._rest:
                    raise RefusalError("the file ends before what gzip packed does", CUT)
            try:
                piece = self._unpacking.decompress(self._rest, PIECE)
            except zlib.error as error:
                raise RefusalError(f"gzip finds the file damaged: {str(error).rpartition(': ')[2]}", CUT) from None
            self._rest = self._unpacking.unconsumed_tail or self._unpacking.unused_data
            if piece:
                return piece

    def _another(self) -> bool:
        """Begin the next part that is packed, and tell whether there is one."""
        while len(self._rest) < len(GZIP) and (more := self._take()):
            self._rest += more
        if not self._rest and self._members:
            return False
        if not self._rest.startswith(GZIP):
            if self._members:
                raise RefusalError("something that gzip did not pack follows what it did", CUT)
            raise RefusalError("the file is not packed by gzip", "Name it without .gz")
        self._unpacking = zlib.decompressobj(AS_GZIP)
        self._members += 1
        return True


def checked(path: Path, kind: str) -> bytes:
    """Return a file's first bytes, unpacked where they are packed; raise RefusalError when its name says otherwise."""
    packed = kind.endswith(".gz")
    with opened(path) as file:
        if not os.fstat(file.fileno()).st_size:
            raise RefusalError("the file is empty", CUT)
        head = Inlet(file, packed=packed, most=PIECE).read()
    if not head:
        raise RefusalError("what gzip packed is empty", CUT)
    found = of(head)
    if found != kind.removesuffix(".gz"):
        raise RefusalError(f"its name ends in .{kind}, but it {WHAT[found]}", HINT[found].format(".gz" * packed))
    return head


def of(head: bytes) -> str:
    """Return of which kind a file is by its first bytes."""
    for kind, magic in (("dump", CUSTOM), ("db", SQLITE), ("gz", GZIP)):
        if head.startswith(magic):
            return kind
    return "tar" if head[TAR_AT : TAR_AT + len(TAR)] == TAR else "sql"


WHAT = {
    "dump": "is a dump in pg_dump's custom format",
    "db": "is an SQLite database",
    "gz": "is packed by gzip, or packed twice",
    "tar": "is a tar archive",
    "sql": "is no dump in pg_dump's custom format",
}
HINT = {
    "dump": "Name it .dump{}",
    "db": "Name it .db{}",
    "gz": "Pack it once, and name it .sql.gz or .dump.gz",
    "tar": "Make it with pg_dump --format=custom, and name it .dump",
    "sql": "If it is text, name it .sql{}",
}
