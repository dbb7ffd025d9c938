"""The database's archive, and the volumes that it was and is on: what point-in-time recovery adds to a stack."""

from __future__ import annotations

from infra import images
from infra.model import Job, Limits, Mount, Volume, Workload
from infra.settings import Settings

DATA_FOLDER = "/var/lib/postgresql"
FOLDER = "/var/lib/pgbackrest"
NAME = "archive"
RESTORE = "database-restore"
FIRST = "database"


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
    }


def restores(settings: Settings, database: str, user: int, beside: str) -> tuple[Job, ...]:
    """Describe the job that fills a new volume from the archive and proves it, where there is one to fill.

    It reaches nobody, and nobody reaches the server that it recovers.
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
                },
                mounts=(Mount(own.filled, DATA_FOLDER), Mount(NAME, FOLDER)),
            ),
            beside=beside,
        ),
    )


def first(settings: Settings) -> tuple[str, ...]:
    """Return what the database comes after: the restore, where it is to be on what that has filled."""
    own = settings.generations
    return (RESTORE,) if own.filled and own.filled == own.active else ()
