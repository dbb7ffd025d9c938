"""The settings of the coordinator and of the commands for people, read once from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from backup import manifest, setting, url
from backup.error import StopError
from backup.url import Postgres

WATCH = "/restore/incoming"
SPOOL = "/spool"
STATE = "state.json"
NAME = re.compile(r"[^\0-\x1f\x7f/\\=\"']{1,63}")
EXTENSION = re.compile(r"[a-z][a-z0-9_-]{0,62}")
DAY = 86_400
HIGHEST = 1 << 50


@dataclass(frozen=True)
class Settings:
    """Where the queue is, what is restored, and how."""

    watch: Path
    root: Path
    spool: Path
    state: Path
    poll: float
    settle: int
    order: str
    trust: str
    admin: Postgres | None
    loader: Postgres | None
    sqlite: Path | None
    stop: tuple[str, ...]
    start: tuple[str, ...]
    stop_seconds: float
    stop_wait: float
    start_wait: float
    health_seconds: float
    unhealthy: str
    patience: float
    lock_seconds: float
    load_seconds: float
    answer_seconds: float
    most_bytes: int
    keep: int
    keep_hours: int
    keep_free: int
    extensions: tuple[str, ...]
    smoke: str
    factors: str
    keys: tuple[Ed25519PublicKey, ...]
    identity: Path | None
    backups: Path
    metrics: Path | None

    @property
    def journal(self) -> Path:
        """The journal, beside the state file."""
        return self.state.with_suffix(".journal")

    def folder(self, name: str) -> Path:
        """Return one of the folders beside the queue."""
        return self.root / name

    @property
    def database(self) -> str:
        """The name of what is restored."""
        return self.admin.database if self.admin else str(self.sqlite)


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings; raise StopError that names the one that is unusable."""
    watch = folder("RESTORE_WATCH_DIR", WATCH, environ)
    state = folder("RESTORE_STATE_FILE", str(watch.parent / STATE), environ)
    if state.suffix == ".journal" or not state.suffix:
        raise StopError(f"RESTORE_STATE_FILE: got {state}, wanted a file such as {watch.parent / STATE}")
    admin, loader = postgres("RESTORE_ADMIN_URL", environ), postgres("RESTORE_LOADER_URL", environ)
    sqlite = environ.get("RESTORE_SQLITE_PATH")
    if (admin is None) == (not sqlite):
        raise StopError(
            "RESTORE_ADMIN_URL and RESTORE_SQLITE_PATH: wanted one of both: what is restored is a database of a "
            f"PostgreSQL server (set RESTORE_ADMIN_URL_FILE to a file with {url.WANTED}) or an SQLite file"
        )
    if admin is not None and loader is None:
        raise StopError(
            "RESTORE_LOADER_URL: not set, wanted the URL of role restore_loader, as whom everything is done in a "
            "database that came from a file"
        )
    identity = environ.get("BACKUP_AGE_IDENTITY_FILE")
    chosen = Settings(
        watch=watch,
        root=watch.parent,
        spool=folder("RESTORE_SPOOL_DIR", SPOOL, environ),
        state=state,
        poll=setting.number("RESTORE_POLL_INTERVAL", 5, 1, 3600, environ),
        settle=setting.number("RESTORE_SETTLE_POLLS", 2, 1, 1000, environ),
        order=choice("RESTORE_ORDER", ("load-first", "stop-first"), environ),
        trust=choice("RESTORE_TRUST", ("any", "signed"), environ),
        admin=admin,
        loader=loader,
        sqlite=absolute("RESTORE_SQLITE_PATH", sqlite) if sqlite else None,
        stop=setting.words("RESTORE_STOP_CONTAINERS", environ),
        start=setting.words("RESTORE_START_CONTAINERS", environ),
        stop_seconds=setting.number("RESTORE_STOP_TIMEOUT", 30, 1, 3600, environ),
        stop_wait=setting.number("RESTORE_STOP_WAIT_SECONDS", 0, 0, 3600, environ),
        start_wait=setting.number("RESTORE_START_WAIT_SECONDS", 0, 0, 3600, environ),
        health_seconds=setting.number("RESTORE_HEALTH_TIMEOUT", 120, 0, 3600, environ),
        unhealthy=choice("RESTORE_UNHEALTHY", ("swap-back", "hold"), environ),
        patience=setting.number("RESTORE_PATIENCE", 600, 1, DAY, environ),
        lock_seconds=setting.number("RESTORE_LOCK_WAIT", 900, 1, DAY, environ),
        load_seconds=setting.number("RESTORE_LOAD_TIMEOUT", 6 * 3600, 1, 7 * DAY, environ),
        answer_seconds=setting.number("RESTORE_LOADER_WAIT", 60, 1, DAY, environ),
        most_bytes=setting.number("RESTORE_MAX_BYTES", 1 << 40, 1, HIGHEST, environ),
        keep=setting.number("RESTORE_KEEP_PREVIOUS", 2, 1, 100, environ),
        keep_hours=setting.number("RESTORE_KEEP_PREVIOUS_HOURS", 7 * 24, 0, 100_000, environ),
        keep_free=setting.number("RESTORE_KEEP_FREE_BYTES", 512 << 20, 0, HIGHEST, environ),
        extensions=setting.words("RESTORE_EXTENSIONS", environ),
        smoke=setting.read("RESTORE_SMOKE_SQL", environ) or "",
        factors=choice("RESTORE_FACTORS", ("keep", "renew-when-unreadable", "renew"), environ),
        keys=known_keys(environ),
        identity=Path(identity) if identity else None,
        backups=folder("BACKUP_DIR", "/backups", environ),
        metrics=optional("RESTORE_METRICS_FILE", environ),
    )
    if chosen.trust == "signed" and not chosen.keys:
        raise StopError("BACKUP_VERIFY_KEYS: not set, wanted with RESTORE_TRUST=signed the public keys of who signs")
    return chosen


def known_keys(environ: Mapping[str, str]) -> tuple[Ed25519PublicKey, ...]:
    """Return the keys that manifests are known by; where the one that signs is at hand, its public half is one."""
    public, private = (setting.read(name, environ) for name in ("BACKUP_VERIFY_KEYS", "BACKUP_SIGNING_KEY"))
    named = manifest.public_keys(public, "BACKUP_VERIFY_KEYS") if public else ()
    signing = manifest.private_key(private, "BACKUP_SIGNING_KEY") if private else None
    return (*named, *((signing.public_key(),) if signing else ()))


def folder(name: str, default: str, environ: Mapping[str, str]) -> Path:
    """Return a setting that is an absolute path."""
    return absolute(name, environ.get(name) or default)


def optional(name: str, environ: Mapping[str, str]) -> Path | None:
    """Return a setting that is an absolute path, None where it is not set."""
    text = environ.get(name)
    return absolute(name, text) if text else None


def absolute(name: str, text: str) -> Path:
    """Return an absolute path; raise StopError for another one."""
    path = Path(text)
    if not path.is_absolute() or ".." in path.parts or path == Path("/"):
        raise StopError(f"{name}: got {text!r}, wanted an absolute path such as {WATCH}")
    return path


def choice(name: str, words: tuple[str, ...], environ: Mapping[str, str]) -> str:
    """Return a setting that is one of some words, the first where it is not set."""
    text = setting.read(name, environ) or words[0]
    if text not in words:
        raise StopError(f"{name}: got {text!r}, wanted {' or '.join(words)}")
    return text


def postgres(name: str, environ: Mapping[str, str]) -> Postgres | None:
    """Return where a PostgreSQL URL leads; None where it is not set."""
    text = setting.read(name, environ)
    if not text:
        return None
    try:
        found = url.parse(text)
    except ValueError as error:
        raise StopError(f"{name}: {error}") from None
    if not isinstance(found, Postgres):
        raise StopError(f"{name}: wanted a PostgreSQL URL: {url.WANTED}")
    # libpq reads a name with an = in it as a whole connection string.
    if not NAME.fullmatch(found.database) or len(found.database.encode()) > 63:
        raise StopError(
            f"{name}: got the database {found.database!r}, wanted a name of 1 to 63 bytes without quotes, =, / and \\"
        )
    if found.database in ("postgres", "template0", "template1"):
        raise StopError(f"{name}: got the database {found.database}, which is the server's own: name the app's")
    return found
