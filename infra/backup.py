"""Backups: the service that makes them by the clock and proves each, with what it is told and where they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from urllib.parse import urlsplit

from infra import database, images, values
from infra.database import secret_file
from infra.model import EVERYWHERE, FILES, Egress, Limits, Mount, Probe, Service, Volume, Workload
from infra.release import file_name, public_file
from infra.secrets import Secret, Secrets, configured
from infra.settings import Settings

NAME = "db-backup"
USER = 10004
FOLDER = "/backups"
WORK = "/var/lib/backup"
LAST = f"{FOLDER}/.last.json"
"""What the service tells of the newest backup that counts; an update reads it."""
STORE = "backups"
STOP_SECONDS = 60
WORD = re.compile(r"[0-9A-Za-z-]{1,40}")
NONE_YET = "none yet: `make backups` lists what there is, `make backup` makes one"
NOTHING: Mapping[str, Secret] = MappingProxyType({})
PORTS = {"http": 80, "https": 443, "smtp": 587, "smtps": 465}


def volumes(settings: Settings) -> tuple[Volume, ...]:
    """Return where backups are kept, and where each is restored to prove it."""
    if not settings.backups.enabled:
        return ()
    own = settings.backups
    store = Volume(STORE, data=True, folder=own.folder, storage=own.storage)
    return store, Volume("backup-work", beside=STORE)


def service(settings: Settings, secrets: Secrets) -> Service:
    """Describe the service; it reads the database as a role that can do nothing else."""
    return Service(
        name=NAME,
        workload=workload(settings, secrets, ("python", "-m", "backup", "schedule")),
        port=0,
        probe=Probe(command=("probe-backup",), interval_seconds=30),
        reachable_from=(),
        stop_seconds=STOP_SECONDS,
        # What there is to back up is there once the schema is.
        after=(database.MIGRATE,),
    )


def workload(
    settings: Settings, secrets: Secrets, command: tuple[str, ...], otherwise: Mapping[str, Secret] = NOTHING
) -> Workload:
    """Describe one of the image's commands, with the stack's backups and its bucket; `otherwise` are other secrets."""
    own = settings.backups
    secret = {**dict(secret_files(settings, secrets)), **otherwise}
    public = {"BACKUP_S3_CA": own.bucket.authorities} if own.bucket and own.bucket.authorities else {}
    paths = {f"{name}_FILE": f"{FILES}/{file_name(name)}" for name in (*secret, *public)}
    return Workload(
        image=images.backup(settings),
        user=USER,
        # It compresses, restores and compares while visitors are there.
        limits=Limits(memory=own.memory, cpus=own.cpus, gives_way=True),
        env={**environment(settings), **paths},
        files=(
            *(secret_file(file_name(name), value) for name, value in secret.items()),
            *(public_file(file_name(name), text) for name, text in public.items()),
        ),
        mounts=tuple(Mount(volume.name, path) for volume, path in zip(volumes(settings), (FOLDER, WORK), strict=True)),
        command=command,
        egress=egress(settings),
    )


def environment(settings: Settings) -> dict[str, str]:
    """Return what the service is told that is no secret."""
    own = settings.backups
    told = {
        "BACKUP_AGE_RECIPIENTS": ",".join(own.recipients),
        "BACKUP_DRILL_SCHEDULE": own.drill_schedule,
        "BACKUP_MAIL_FROM": own.mail_from,
        "BACKUP_MAIL_TO": ",".join(own.mail_to),
        "BACKUP_MAX_AGE_HOURS": str(own.max_age_hours),
        "BACKUP_METRICS_FILE": f"{FOLDER}/metrics.prom",
        # With it the database's archive is watched.
        "BACKUP_PITR": "true" if settings.pitr.enabled else "",
        "BACKUP_SCHEDULE": own.schedule,
        "BACKUP_TIMEZONE": own.timezone,
        **{f"BACKUP_KEEP_{name.upper()}": str(count) for name, count in own.keep.items()},
    }
    if own.bucket:
        told |= {
            "BACKUP_S3_BUCKET": own.bucket.name,
            "BACKUP_S3_ENDPOINT": own.bucket.endpoint,
            "BACKUP_S3_PREFIX": own.bucket.prefix,
            "BACKUP_S3_REGION": own.bucket.region,
        }
    return {name: value for name, value in told.items() if value}


def secret_files(settings: Settings, secrets: Secrets) -> Iterator[tuple[str, Secret]]:
    """Yield the service's secrets by the names of its settings."""
    own = settings.backups
    yield "DATABASE_URL", database.backup_url(settings, secrets)
    yield "BACKUP_SIGNING_KEY", secrets.backup_signing_key
    optional = {
        "BACKUP_AGE_IDENTITY": own.identity,
        "BACKUP_PING_URL": own.ping_url,
        "BACKUP_SMTP_URL": own.smtp_url,
        "BACKUP_WEBHOOK_URL": own.webhook_url,
    }
    if own.bucket:
        optional |= {
            "BACKUP_S3_ACCESS_KEY_ID": own.bucket.key_id,
            "BACKUP_S3_SECRET_ACCESS_KEY": own.bucket.secret,
        }
    for name, value in optional.items():
        if value:
            yield name, configured(value)


def egress(settings: Settings) -> tuple[Egress, ...]:
    """Return what the service calls outside: a managed database, the bucket, and whoever is told of a backup."""
    own = settings.backups
    addresses = [each.value for each in (own.ping_url, own.smtp_url, own.webhook_url) if each]
    if own.bucket:
        addresses.append(own.bucket.endpoint or "https://s3.amazonaws.com")
    ports = set()
    for address in addresses:
        place = urlsplit(address)
        ports.add(values.port_or_none(place) or PORTS[place.scheme])
    return (*database.egress(settings), *(Egress(EVERYWHERE, port) for port in sorted(ports)))


def last(text: str) -> str:
    """Return in words which backup is the newest that counts, by what the service wrote, which may be anything."""
    try:
        found = json.loads(text)
        at = datetime.fromisoformat(found["created"]).astimezone(UTC)
        rows, size = int(found["rows"]), int(found["bytes"])
        words = [word for word in (str(found["id"]), str(found["state"])) if WORD.fullmatch(word)]
    except (ValueError, KeyError, TypeError, OverflowError):
        return NONE_YET
    if len(words) != 2:
        return NONE_YET
    return f"{words[0]} of {at:%Y-%m-%d %H:%M} UTC: {rows} rows in {size} bytes, {words[1]}"


def where(settings: Settings, project: str, stack: str) -> str:
    """Return where backups are, as people write it, and that there is no other copy, or none at all."""
    own = settings.backups
    if not own.enabled:
        return "none: `pulumi config set backups true` makes them"
    kept = f"volume {project}-{stack}-{STORE}" if settings.platform == "docker" else f"claim {STORE}"
    here = own.folder or kept
    if own.bucket:
        return f"{here} and s3://{own.bucket.name}/{own.bucket.prefix}"
    return f"{here} and nowhere else: what takes it away takes them all. backupS3Bucket keeps copies elsewhere"
