"""The database's archive, and the volumes that it was and is on: what point-in-time recovery adds to a stack."""

from __future__ import annotations

from urllib.parse import urlsplit

from infra import images, values
from infra.model import EVERYWHERE, FILES, Egress, File, Job, Limits, Mount, Volume, Workload
from infra.release import file_name, public_file
from infra.secrets import Secret, Secrets, configured
from infra.settings import Settings

DATA_FOLDER = "/var/lib/postgresql"
FOLDER = "/var/lib/pgbackrest"
NAME = "archive"
RESTORE = "database-restore"
FIRST = "database"
LATEST = "latest"
"""The end of what is archived, in place of a moment."""
FIRST_PREFIX = "pitr"
SECRETS = ("PITR_S3_ACCESS_KEY_ID", "PITR_S3_SECRET_ACCESS_KEY", "PITR_PASSPHRASE")
AUTHORITIES = "PITR_S3_CA"
HTTPS = 443


def volumes(settings: Settings) -> tuple[Volume, ...]:
    """Return the volume that the database is on, those that are kept, and the archive where there is one."""
    own = settings.generations
    names = dict.fromkeys((own.active, *(name for name in own.kept if name != NAME)))
    archive = Volume(NAME, data=True, storage=settings.pitr.storage)
    kept = settings.pitr.enabled or NAME in own.kept
    return (*(Volume(name, data=True) for name in names), *((archive,) if kept else ()))


def mounts(settings: Settings) -> tuple[Mount, ...]:
    """Return where the database's data is, and its archive."""
    archived = (Mount(NAME, FOLDER),) if settings.pitr.enabled else ()
    return (Mount(settings.generations.active, DATA_FOLDER), *archived)


def environment(settings: Settings) -> dict[str, str]:
    """Return what the server is told of it; a volume that a restore has to fill is never begun anew."""
    own = settings.pitr
    told = {} if settings.generations.active == FIRST else {"NEW_CLUSTER": "refused"}
    if not own.enabled:
        return told
    return told | {
        "PITR": "true",
        "PITR_HOUR": str(own.hour),
        "PITR_FULL_DAYS": str(own.full_days),
        "PITR_DIFF_DAYS": str(own.diff_days),
        "PITR_KEEP_DAYS": str(own.keep_days),
        "PITR_QUEUE_MB": str(own.queue_max),
        **bucket_environment(settings),
    }


def bucket_environment(settings: Settings) -> dict[str, str]:
    """Return what is told of the bucket, where the archive is in one, and in which files the rest is."""
    own = settings.pitr.bucket
    if not own:
        return {}
    told = {
        "PITR_S3_BUCKET": own.name,
        "PITR_S3_ENDPOINT": own.endpoint,
        "PITR_S3_PREFIX": own.prefix,
        "PITR_S3_REGION": own.region,
    }
    named = (*SECRETS, *((AUTHORITIES,) if own.authorities else ()))
    paths = {f"{name}_FILE": f"{FILES}/{file_name(name)}" for name in named}
    return {name: value for name, value in told.items() if value} | paths


def files(settings: Settings, secrets: Secrets) -> tuple[File, ...]:
    """Return the bucket's key, what its content is encrypted with, and by whom its server is known."""
    own = settings.pitr.bucket
    if not own:
        return ()
    held: tuple[Secret, ...] = (configured(own.key_id), configured(own.secret), secrets.archive_passphrase)
    found = [
        File(file_name(name), secret.value, secret.fingerprint, secret=True)
        for name, secret in zip(SECRETS, held, strict=True)
    ]
    return (*found, *((public_file(file_name(AUTHORITIES), own.authorities),) if own.authorities else ()))


def egress(settings: Settings) -> tuple[Egress, ...]:
    """Return the way to the bucket, where the archive is in one."""
    own = settings.pitr.bucket
    return (Egress(EVERYWHERE, values.port_or_none(urlsplit(own.endpoint)) or HTTPS),) if own else ()


def prefix_after(prefix: str) -> str:
    """Return the prefix below which an archive begins anew after the one that has this prefix, or the usual one."""
    former = prefix or FIRST_PREFIX
    kept, _, number = former.rpartition("-")
    return f"{kept}-{int(number) + 1}" if kept and number.isdigit() else f"{former}-2"


def later(settings: Settings) -> dict[str, str]:
    """Return what a restore to the end is told of where the archive may have gone on, and so does not end."""
    own = settings.pitr.bucket
    wanted = own and settings.generations.moment == LATEST
    return {"LATER_PREFIX": prefix_after(own.prefix)} if own and wanted else {}


def restores(settings: Settings, secrets: Secrets, database: str, user: int, beside: str) -> tuple[Job, ...]:
    """Describe the job that fills a new volume from the archive and proves it, where there is one to fill.

    It reaches nobody but the bucket, where the archive is in one, and nobody reaches the server that it recovers.
    """
    own = settings.generations
    if not own.filled:
        return ()
    return (
        Job(
            name=RESTORE,
            workload=Workload(
                image=images.database(settings),
                user=user,
                limits=Limits(memory=settings.database_memory, cpus=settings.database_cpus),
                command=("python3", "-m", "server", "restore"),
                env={
                    "DATABASE": database,
                    "MEMORY_LIMIT_MB": str(settings.database_memory),
                    "RESTORE_TO": own.moment,
                    **later(settings),
                    **bucket_environment(settings),
                },
                files=files(settings, secrets),
                mounts=(Mount(own.filled, DATA_FOLDER), Mount(NAME, FOLDER)),
                egress=egress(settings),
            ),
            beside=beside,
        ),
    )


def first(settings: Settings) -> tuple[str, ...]:
    """Return what the database comes after: the restore, where it is to be on what that has filled."""
    own = settings.generations
    return (RESTORE,) if own.filled and own.filled == own.active else ()
