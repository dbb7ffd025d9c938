"""Encrypts a backup's files to public keys with age, so that this machine cannot read what it has made."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from backup import durable, program, room
from backup.error import StopError
from backup.progress import Progress

SUFFIX = ".age"
BLOCK = 1 << 20
MAGIC = b"age-encryption.org/v1\n"


def digest(path: Path) -> str:
    """Return a file's SHA-256, read past the page cache so that it is what the disk gives back."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def seal(path: Path, recipients: tuple[str, ...], seconds: float) -> Path:
    """Encrypt a file to the recipients, make that durable, remove the clear one, and return the new one's path."""
    sealed = path.with_name(path.name + SUFFIX)
    progress = Progress("encrypt")

    def tick() -> None:
        progress.tick()
        room.watch(path.parent)

    to = [word for recipient in recipients for word in ("--recipient", recipient)]
    program.run(["age", *to, "--output", str(sealed), str(path)], seconds=seconds, tick=tick)
    durable.sync(sealed)
    path.unlink()
    progress.done(bytes=sealed.stat().st_size, recipients=len(recipients))
    return sealed


def unseal(path: Path, identity: Path, to: Path, seconds: float) -> None:
    """Decrypt a file with an identity; raise StopError when that is no recipient, or the file was changed."""
    if not identity.is_file():
        raise StopError(
            f"BACKUP_AGE_IDENTITY_FILE: {identity} is not there. Mount the key that backups are encrypted to"
        )
    progress = Progress("decrypt")
    command = ["age", "--decrypt", "--identity", str(identity), "--output", str(to), str(path)]
    try:
        program.run(command, seconds=seconds, tick=progress.tick)
    except StopError as error:
        raise StopError(f"{path.name}: cannot be decrypted: {error}. Is this the key of a recipient?") from None
    progress.done(bytes=to.stat().st_size)
