"""`keep` and `open`: the recovery kit of a stack, encrypted where age is, kept in the bucket, and opened again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from backup import bucket, line, offsite, program, seal, settings
from backup.bucket import Bucket
from backup.error import StopError
from backup.progress import Progress
from backup.settings import Settings

PREFIX = "kits/"
"""Below the bucket's own: retention knows backups by their names, and these are none."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,180}")
MOST_BYTES = 256 << 20
SECONDS = 600
SEALED_ONLY = 3
"""How `keep` ends where the kit is encrypted and whole, and there is no copy of it in the bucket."""


def keep(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Encrypt standard input to standard output and store it in the bucket; return 0 when both have happened."""
    with told_on_standard_error() as output:
        if len(arguments) != 1 or not NAME.fullmatch(arguments[0]):
            line.say("error", "keep: wanted one name, of letters, digits, dots, dashes and underscores")
            return 2
        try:
            chosen, place = settings.read(environ), bucket.find(environ)
            with tempfile.TemporaryDirectory(dir=chosen.work, prefix="kit-") as folder:
                sealed = encrypted(sys.stdin.buffer, chosen, Path(folder) / f"{arguments[0]}{seal.SUFFIX}")
                content = sealed.read_bytes()
                output.write(content)
                output.flush()
                return stored(place, sealed, hashlib.sha256(content).hexdigest())
        except (StopError, OSError) as error:
            line.say("error", str(error))
            return 1


def stored(place: bucket.Place | None, sealed: Path, digest: str) -> int:
    """Store the kit, read it back, and return what `keep` ends with."""
    if place is None:
        line.say("warning", "backupS3Bucket is not set: the file that is written now is the only copy of the kit")
        return SEALED_ONLY
    try:
        session, key = Bucket(place), f"{PREFIX}{sealed.name}"
        session.put(key, sealed, lambda: None)
        offsite.compare(session, key, digest, Progress("kit"))
    except StopError as error:
        line.say("error", f"the kit is not in the bucket: {error}")
        return SEALED_ONLY
    line.say("info", "the kit is in the bucket, and reads back as it was", uri=place.uri(key))
    return 0


def open_(arguments: Sequence[str]) -> int:
    """Decrypt a kit: standard input has the number of the key's bytes on a line, the key, and the kit."""
    with told_on_standard_error() as output:
        if arguments:
            line.say("error", f"open: got {' '.join(arguments)!r}, wanted nothing more")
            return 2
        try:
            output.write(opened(sys.stdin.buffer))
            output.flush()
        except (StopError, OSError) as error:
            line.say("error", str(error))
            return 1
    return 0


def opened(source: BinaryIO) -> bytes:
    """Return what is in a kit that is given with its key."""
    head, _, rest = taken(source).partition(b"\n")
    length = int(head) if head.isdigit() else len(rest)
    if not rest[length:].startswith(seal.MAGIC):
        raise StopError("this is no kit: wanted a file that begins with age-encryption.org/v1")
    # In memory, and gone with the folder: nobody else has this container.
    with tempfile.TemporaryDirectory() as folder:
        identity, sealed, clear = (Path(folder) / name for name in ("key", "kit.age", "kit"))
        private(identity, rest[:length])
        private(sealed, rest[length:])
        seal.unseal(sealed, identity, clear, SECONDS)
        return clear.read_bytes()


@contextlib.contextmanager
def told_on_standard_error() -> Iterator[BinaryIO]:
    """Yield standard output for bytes; what is told goes to standard error meanwhile."""
    output = sys.stdout.buffer
    with contextlib.redirect_stdout(sys.stderr):
        yield output


def taken(source: BinaryIO) -> bytes:
    """Return what is given, to its end; raise StopError for nothing, and for more than a kit can be."""
    given = source.read(MOST_BYTES + 1)
    if not given:
        raise StopError("nothing came on standard input: make recovery-kit gives it what the kit is made of")
    if len(given) > MOST_BYTES:
        raise StopError(f"more than {MOST_BYTES >> 20} MiB came on standard input: that is no kit")
    return given


def encrypted(source: BinaryIO, chosen: Settings, to: Path) -> Path:
    """Encrypt what is given to a file and return its path; in the clear it is never on a disk."""
    if not chosen.recipients:
        raise StopError(
            "backupRecipients: not set, wanted the public keys that the kit is encrypted to: it is never written in "
            "the clear. Make one: age-keygen -o KEYFILE, set its public half, then: make up"
        )
    descriptor = os.memfd_create("kit")
    try:
        with open(descriptor, "wb", closefd=False) as memory:
            memory.write(taken(source))
        os.lseek(descriptor, 0, os.SEEK_SET)
        words = [word for recipient in chosen.recipients for word in ("--recipient", recipient)]
        program.run(["age", *words, "--output", str(to)], seconds=SECONDS, stdin=descriptor)
    finally:
        os.close(descriptor)
    return to


def private(path: Path, content: bytes) -> None:
    """Write a file that only this user reads."""
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
