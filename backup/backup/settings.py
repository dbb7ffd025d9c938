"""The settings of all commands, read once from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from backup import manifest, setting
from backup.error import StopError
from backup.retention import Policy

FOLDER = "/backups"
WORK = "/var/lib/backup"
STEP_SECONDS = 6 * 3600
HIGHEST = 100_000


@dataclass(frozen=True)
class Settings:
    """Where backups are, how they are signed and encrypted, and how many are kept."""

    folder: Path
    work: Path
    signing_key: Ed25519PrivateKey | None
    keys: tuple[Ed25519PublicKey, ...]
    recipients: tuple[str, ...]
    identity: Path | None
    policy: Policy
    zone: ZoneInfo
    step_seconds: float

    def key(self) -> Ed25519PrivateKey:
        """Return the key that signs; raise StopError when there is none."""
        if self.signing_key is None:
            raise StopError(
                f"BACKUP_SIGNING_KEY: not set, wanted an Ed25519 private key in PEM, by which a restore knows a backup "
                f"of ours. Make one and set BACKUP_SIGNING_KEY_FILE: {manifest.MAKE}"
            )
        return self.signing_key


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings; raise StopError that names the one that is unusable."""
    private = setting.read("BACKUP_SIGNING_KEY", environ)
    public = setting.read("BACKUP_VERIFY_KEYS", environ)
    signing = manifest.private_key(private, "BACKUP_SIGNING_KEY") if private else None
    keys = manifest.public_keys(public, "BACKUP_VERIFY_KEYS") if public else ()
    # A path, never the key itself: age reads the file.
    identity = environ.get("BACKUP_AGE_IDENTITY_FILE")
    return Settings(
        folder=Path(environ.get("BACKUP_DIR") or FOLDER),
        work=Path(environ.get("BACKUP_WORK_DIR") or WORK),
        signing_key=signing,
        keys=(*keys, *((signing.public_key(),) if signing else ())),
        recipients=recipients(environ),
        identity=Path(identity) if identity else None,
        policy=policy(environ),
        zone=zone(environ),
        step_seconds=setting.number("BACKUP_STEP_TIMEOUT", STEP_SECONDS, 1, 7 * 86_400, environ),
    )


def policy(environ: Mapping[str, str]) -> Policy:
    """Return how many backups are kept."""
    default = Policy()
    return Policy(
        last=setting.number("BACKUP_KEEP_LAST", default.last, 1, HIGHEST, environ),
        daily=setting.number("BACKUP_KEEP_DAILY", default.daily, 0, HIGHEST, environ),
        weekly=setting.number("BACKUP_KEEP_WEEKLY", default.weekly, 0, HIGHEST, environ),
        monthly=setting.number("BACKUP_KEEP_MONTHLY", default.monthly, 0, HIGHEST, environ),
        yearly=setting.number("BACKUP_KEEP_YEARLY", default.yearly, 0, HIGHEST, environ),
        minimum=setting.number("BACKUP_KEEP_MIN", default.minimum, 1, HIGHEST, environ),
    )


def zone(environ: Mapping[str, str]) -> ZoneInfo:
    """Return the time zone of the schedule and of days, weeks and months."""
    name = setting.read("BACKUP_TIMEZONE", environ) or "UTC"
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise StopError(f"BACKUP_TIMEZONE: got {name!r}, wanted a name such as Europe/Berlin or UTC") from None


def recipients(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the public keys that backups are encrypted to."""
    found = setting.words("BACKUP_AGE_RECIPIENTS", environ)
    for word in found:
        if word.startswith("AGE-SECRET-KEY-"):
            raise StopError("BACKUP_AGE_RECIPIENTS: got a secret key, wanted the public ones: age-keygen -y KEYFILE")
        if not word.startswith("age1"):
            raise StopError(f"BACKUP_AGE_RECIPIENTS: got {word[:12]!r}, wanted public keys that begin with age1")
    return found
