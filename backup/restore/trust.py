"""Whether a file is what its manifest says, and what it is when it is decrypted."""

from __future__ import annotations

import os
from pathlib import Path

from backup import manifest, program, seal
from backup.error import StopError
from backup.manifest import Manifest, StoredFile
from restore import arrivals, claim, foreign
from restore.error import RejectedError
from restore.settings import Settings

MOST_MANIFEST = 64 << 20
PUT = "Put a backup in with: python -m restore submit BACKUP"
KINDS = {"sql": "sql", "dump": "dump", "db": "sqlite"}


def checked(chosen: Settings, name: str, processing: Path, sha256: str) -> tuple[Manifest, StoredFile] | None:
    """Return the signed manifest of a file, and what it says of it; None where there is none and none is wanted.

    Raise RejectedError for a manifest that is not signed by a known key or is another file's, and for none at all where
    only signed files are restored.
    """
    content = foreign.read(processing / f"{name}{arrivals.MANIFEST}", MOST_MANIFEST)
    if content is None:
        if chosen.trust == "signed":
            raise RejectedError(f"RESTORE_TRUST=signed, and no {name}{arrivals.MANIFEST} lies beside it. {PUT}")
        return None
    if not chosen.keys:
        raise RejectedError(
            "it has a manifest, and BACKUP_VERIFY_KEYS is not set, so nobody can tell whose. Set it, or take the "
            "manifest away"
        )
    try:
        found = manifest.opened(content, chosen.keys)
    except StopError as error:
        raise RejectedError(f"{error}. {PUT}") from None
    stored = next((file for file in found.files if file.sha256 == sha256), None)
    if stored is None or stored.role not in ("dump", "sqlite"):
        raise RejectedError(f"its manifest is that of another file: none in backup {found.id} has its SHA-256. {PUT}")
    return found, stored


def opened(chosen: Settings, path: Path, to: Path, seconds: float) -> None:
    """Decrypt a file into one that nobody else can have prepared; raise RejectedError when the key does not fit."""
    if chosen.identity is None:
        raise RejectedError(
            "it is encrypted, and BACKUP_AGE_IDENTITY_FILE is not set: mount the key file that decrypts backups"
        )
    if not chosen.identity.is_file():
        raise RejectedError(f"BACKUP_AGE_IDENTITY_FILE: {chosen.identity} is not there. Mount the key file")
    command = ["age", "--decrypt", "--identity", str(chosen.identity), str(path)]
    try:
        with claim.made(to) as target:
            program.run(command, seconds=seconds, stdout=target)
            os.fsync(target.fileno())
    except StopError as error:
        if "No space left" in str(error):
            raise
        raise RejectedError(f"it cannot be decrypted: {error}. Is this the key of a recipient?") from None


def same_inside(path: Path, stored: StoredFile) -> None:
    """Raise RejectedError when a decrypted file is not what was encrypted."""
    if seal.digest(path) != stored.plain_sha256:
        raise RejectedError("it decrypts to something else than its manifest says. Take another backup")
