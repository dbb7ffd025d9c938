"""Point-in-time recovery as the settings ask for it: what the server is told, and pgBackRest's configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from server import bucket, setting, volume
from server.access import SUPERUSER
from server.bucket import Bucket
from server.error import StopError

ROOT = Path("/var/lib/pgbackrest")
REPOSITORY = ROOT / "repository"
LOCK = ROOT / "lock"
STATUS = ROOT / "status.json"
METRICS = ROOT / "metrics.prom"
WORK = Path("/tmp/pgbackrest")  # noqa: S108 - the container's own, where nothing outlives it
CONFIGURATION = WORK / "pgbackrest.conf"
SPOOL = volume.ROOT / "spool"
STANZA = "main"
BACKUPS = f"backup/{STANZA}"
"""Where they are in the repository."""
WITHOUT_ANSWER = f"2>{WORK}/said; code=$?; sed '/\\*\\*\\* Path/,$d' {WORK}/said >&2; exit $code"
"""What becomes of a push's words: a bucket that refuses it answers with the key's name, and they get into the log."""
IN_A_HURRY = "--io-timeout=5"
"""For whoever waits to be told of a bucket: pgBackRest tries it for nine times as long."""
MEMORY_MB = 64
"""What the archivist and pgBackRest may take of the container's memory."""


class Archiving(NamedTuple):
    """When full and differential backups are made, for how long they are kept, and how much may wait to be archived.

    Days are counted from an hour of UTC. Without days between them there are no differential backups.
    """

    hour: int
    full_days: int
    diff_days: int
    keep_days: int
    queue_mb: int
    segment_seconds: int


def read(environ: Mapping[str, str]) -> Archiving | None:
    """Return what is asked for, None where nothing is archived; raise StopError for a value that cannot be meant."""
    if not setting.truth("PITR", environ):
        return None
    return Archiving(
        hour=setting.whole("PITR_HOUR", 2, 0, 23, environ),
        full_days=setting.whole("PITR_FULL_DAYS", 7, 1, 366, environ),
        diff_days=setting.whole("PITR_DIFF_DAYS", 1, 0, 366, environ),
        keep_days=setting.whole("PITR_KEEP_DAYS", 14, 1, 3660, environ),
        queue_mb=setting.whole("PITR_QUEUE_MB", 4096, 32, 1_048_576, environ),
        segment_seconds=setting.whole("PITR_SEGMENT_SECONDS", 30, 1, 3600, environ),
    )


def needed(environ: Mapping[str, str]) -> Archiving:
    """Return what is asked for; raise StopError where nothing is archived."""
    plan = read(environ)
    if plan is None:
        raise StopError("PITR: not set, so nothing is archived here. Switch it on: pulumi config set pitr true")
    return plan


def command(*words: str) -> list[str]:
    """Return a command line of pgBackRest."""
    return ["/usr/bin/pgbackrest", f"--config={CONFIGURATION}", f"--stanza={STANZA}", *words]


def server_settings(plan: Archiving, where: Bucket | None) -> dict[str, str]:
    """Return what the server is told so that it archives."""
    push = " ".join(command("archive-push", "%p"))
    return {
        "archive_mode": "on",
        "archive_command": f"{push} {WITHOUT_ANSWER}" if where else push,
        "archive_timeout": f"{plan.segment_seconds}s",
    }


def render(plan: Archiving | None, data: Path, where: Bucket | None = None) -> str:
    """Return pgBackRest's configuration for a data directory; without a plan it is for reading the repository alone."""
    values = {
        **(bucket.options(where) if where else {"repo1-path": str(REPOSITORY)}),
        "repo1-bundle": "y",
        "repo1-retention-full-type": "time",
        "repo1-retention-full": str(plan.keep_days if plan else 3660),
        # Whoever decides what is given up looks at the clock first.
        "expire-auto": "n",
        "compress-type": "zst",
        "start-fast": "y",
        "spool-path": str(SPOOL),
        "lock-path": str(WORK),
        "log-path": str(WORK),
        "log-level-file": "off",
        "log-level-console": "off",
        "log-level-stderr": "warn",
        "log-timestamp": "n",
    }
    of_push = {"archive-async": "y", "process-max": "1"}
    if plan:
        # Beyond this the server lets go of what it could not archive: a gap, where it would have run out of room.
        of_push["archive-push-queue-max"] = f"{plan.queue_mb}MiB"
    of_server = {"pg1-path": str(data), "pg1-socket-path": str(volume.SOCKETS), "pg1-user": SUPERUSER}
    sections = {"global": values, "global:archive-push": of_push, STANZA: of_server}
    blocks = []
    for name, entries in sections.items():
        blocks.append("\n".join([f"[{name}]", *(f"{key}={value}" for key, value in entries.items())]))
    return "\n\n".join(blocks) + "\n"


def configure(plan: Archiving | None, data: Path, where: Bucket | None) -> None:
    """Write pgBackRest's configuration, which this user alone reads."""
    WORK.mkdir(mode=0o700, exist_ok=True)
    volume.write(CONFIGURATION, render(plan, data, where))


def place(where: Bucket | None) -> str:
    """Return where the repository is, as people write it."""
    return where.uri if where else str(ROOT)


def holds_backups() -> bool:
    """Return whether the repository on the volume holds backups, of whichever cluster."""
    return (REPOSITORY / BACKUPS / "backup.info").exists()


def keep_out(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for pgBackRest: settings of its own there would win over its configuration."""
    return {"PATH": environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
