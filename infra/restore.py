"""Restores: the service that takes a file from its queue to the live database, and the loader that nobody trusts."""

from __future__ import annotations

from infra import backup, database, images, web
from infra.database import secret_file
from infra.model import FILES, Control, Limits, Mount, Probe, Service, Volume, Workload
from infra.release import file_name
from infra.secrets import Secret, Secrets, configured
from infra.settings import Settings

NAME = "db-restore"
LOADER = "db-restore-loader"
USER = 10005
LOADER_USER = 10006
GROUP = backup.USER
"""What both write in the spool the other reads; the backups are this group's too."""
STORE = "restore"
FOLDER = "/restore"
SPOOL = "restore-spool"
SPOOL_FOLDER = "/spool"
GATE_SOCKET = "/run/restore-gate/gate.sock"
STOP_SECONDS = 30


def runs(settings: Settings) -> bool:
    """Whether the stack restores: with a managed database only where both of the roles for it are set."""
    own = settings.restores
    return own.enabled and bool(not settings.managed_database or (own.admin_url and own.loader_url))


def volumes(settings: Settings) -> tuple[Volume, ...]:
    """Return where the queue is with all that came of it, and where files are taken apart."""
    if not runs(settings):
        return ()
    store = Volume(STORE, data=True, folder=settings.restores.folder, storage=settings.restores.storage)
    return store, Volume(SPOOL, beside=STORE)


def services(settings: Settings, secrets: Secrets) -> tuple[Service, ...]:
    """Describe the two of them, where there are any."""
    return (service(settings, secrets), loader(settings, secrets)) if runs(settings) else ()


def service(settings: Settings, secrets: Secrets) -> Service:
    """Describe the coordinator: it stops, swaps and starts, and reads nothing of what a file holds."""
    own = settings.restores
    backups = (Mount(backup.STORE, backup.FOLDER, read_only=True),) if settings.backups.enabled else ()
    secret = {
        "BACKUP_SIGNING_KEY": secrets.backup_signing_key,
        "RESTORE_ADMIN_URL": admin_url(settings, secrets),
        "RESTORE_LOADER_URL": loader_url(settings, secrets),
        **({"BACKUP_AGE_IDENTITY": configured(settings.backups.identity)} if settings.backups.identity else {}),
    }
    named = dict.fromkeys((*own.stop, *own.start))
    return Service(
        name=NAME,
        workload=Workload(
            image=images.backup(settings),
            user=USER,
            shared_group=GROUP,
            limits=Limits(memory=own.memory, cpus="1.0", gives_way=True),
            env={**environment(settings), **{f"{name}_FILE": f"{FILES}/{file_name(name)}" for name in secret}},
            files=tuple(secret_file(file_name(name), value) for name, value in secret.items()),
            mounts=(Mount(STORE, FOLDER), Mount(SPOOL, SPOOL_FOLDER), *backups),
            command=("python", "-m", "restore", "watch"),
            egress=database.egress(settings),
        ),
        port=0,
        probe=Probe(command=("probe-restore", "watch"), interval_seconds=30),
        reachable_from=(),
        stop_seconds=STOP_SECONDS,
        after=(database.MIGRATE,),
        beside=backup.NAME if settings.backups.enabled else "",
        controls=Control(
            services=tuple(name for name in named if name == web.NAME),
            containers=tuple(name for name in named if name != web.NAME),
            migrations=web.MIGRATE,
        ),
    )


def loader(settings: Settings, secrets: Secrets) -> Service:
    """Describe the loader: it reads what a file holds, as a role that has nothing but the database it loads into."""
    own = settings.restores
    return Service(
        name=LOADER,
        workload=Workload(
            image=images.backup(settings),
            user=LOADER_USER,
            shared_group=GROUP,
            limits=Limits(memory=own.memory, cpus=own.cpus, gives_way=True),
            env={"RESTORE_LOADER_URL_FILE": f"{FILES}/restore-loader-url"},
            files=(secret_file("restore-loader-url", loader_url(settings, secrets)),),
            mounts=(Mount(SPOOL, SPOOL_FOLDER),),
            command=("python", "-m", "restore", "loader"),
            egress=database.egress(settings),
        ),
        port=0,
        probe=Probe(command=("probe-restore", "loader"), interval_seconds=30),
        reachable_from=(),
        stop_seconds=STOP_SECONDS,
        after=(database.MIGRATE,),
        beside=NAME,
    )


def environment(settings: Settings) -> dict[str, str]:
    """Return what the coordinator is told that is no secret."""
    own = settings.restores
    told = {
        "RESTORE_EXTENSIONS": ",".join(own.extensions),
        "RESTORE_KEEP_PREVIOUS": str(own.keep_previous),
        "RESTORE_ORDER": own.order,
        "RESTORE_POLL_INTERVAL": str(own.poll_interval),
        "RESTORE_START_CONTAINERS": ",".join(own.start),
        "RESTORE_START_WAIT_SECONDS": str(own.start_wait),
        "RESTORE_STOP_CONTAINERS": ",".join(own.stop),
        "RESTORE_STOP_TIMEOUT": str(own.stop_timeout),
        "RESTORE_STOP_WAIT_SECONDS": str(own.stop_wait),
        "RESTORE_TRUST": own.trust,
        "RESTORE_SERVICES": web.NAME,
    }
    if settings.platform == "docker":
        told["RESTORE_GATE_SOCKET"] = GATE_SOCKET
    return {name: value for name, value in told.items() if value}


def admin_url(settings: Settings, secrets: Secrets) -> Secret:
    """Return the URL by which databases are made and renamed."""
    if settings.managed_database and settings.restores.admin_url:
        return configured(settings.restores.admin_url)
    return database.url(database.RESTORE_ADMIN, secrets.restore_admin_password, database.NAME)


def loader_url(settings: Settings, secrets: Secrets) -> Secret:
    """Return the URL by which a file is loaded."""
    if settings.managed_database and settings.restores.loader_url:
        return configured(settings.restores.loader_url)
    return database.url(database.RESTORE_LOADER, secrets.restore_loader_password, database.NAME)
