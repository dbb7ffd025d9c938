"""PostgreSQL: this stack's own, with its roles, or a managed one that is checked before anything relies on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

import pulumi

from infra import archive, images
from infra.model import EVERYWHERE, Egress, File, Job, Limits, Mount, Probe, Service, Volume, Workload
from infra.secrets import Secret, Secrets, configured
from infra.settings import ManagedDatabase, Settings

NAME = "database"
PORT = 5432
USER = 10003
DATABASE = "scaffold"
OWNER = "owner"
BACKUP = "backup_ro"
RESTORE_ADMIN, RESTORE_LOADER = "restore_admin", "restore_loader"
SOCKET = Volume("database-socket")
SOCKET_MOUNT = Mount(SOCKET.name, "/run/postgresql")
STOP_SECONDS = 30
SECONDS_FOR_THE_LAST_WORDS = 5
MIGRATE = "migrate"


def service(settings: Settings, secrets: Secrets, reachable_from: tuple[str, ...]) -> Service:
    """Describe the database server, whose superuser answers on the socket alone; what secrets it holds are a bucket's.

    It calls nobody but that bucket.
    """
    return Service(
        name=NAME,
        workload=Workload(
            image=images.database(settings),
            user=USER,
            limits=Limits(
                memory=settings.database_memory,
                cpus=settings.database_cpus,
            ),
            env={
                "MEMORY_LIMIT_MB": str(settings.database_memory),
                "STOP_TIMEOUT": str(STOP_SECONDS - SECONDS_FOR_THE_LAST_WORDS),
                **archive.environment(settings),
            },
            files=archive.files(settings, secrets),
            mounts=(*archive.mounts(settings), SOCKET_MOUNT),
            egress=archive.egress(settings),
        ),
        port=PORT,
        probe=Probe(command=("probe-database",)),
        reachable_from=reachable_from,
        stop_seconds=STOP_SECONDS,
        after=archive.first(settings),
    )


def roles(settings: Settings, secrets: Secrets) -> Job:
    """Describe the job that makes the roles and gives them their passwords, over the server's socket."""
    passwords: dict[str, Secret] = {
        OWNER: secrets.owner_password,
        BACKUP: secrets.backup_password,
        RESTORE_ADMIN: secrets.restore_admin_password,
        RESTORE_LOADER: secrets.restore_loader_password,
        **secrets.app_passwords,
    }
    names = list(passwords)
    content = pulumi.Output.all(*(passwords[name].value for name in names)).apply(
        lambda values: roles_document(dict(zip(names, values, strict=True)))
    )
    fingerprint = "+".join(passwords[name].fingerprint for name in names)
    return Job(
        name="database-roles",
        workload=Workload(
            image=images.database(settings),
            user=USER,
            limits=Limits(memory=128, cpus="1.0"),
            command=("python3", "-m", "server", "roles"),
            files=(File("roles.json", pulumi.Output.secret(content), fingerprint, secret=True),),
            mounts=(SOCKET_MOUNT,),
        ),
        beside=NAME,
        after=(NAME,),
    )


def roles_document(passwords: Mapping[str, str]) -> str:
    """Return the roles with their passwords as the roles job reads them."""
    logins = {name: {"name": name, "password": password} for name, password in passwords.items()}
    owner, backup = logins.pop(OWNER), logins.pop(BACKUP)
    restore = {"admin": logins.pop(RESTORE_ADMIN), "loader": logins.pop(RESTORE_LOADER)}
    document = {
        "database": DATABASE,
        "owner": owner,
        "app": list(logins.values()),
        "backup": backup,
        "restore": restore,
    }
    return json.dumps(document, sort_keys=True)


def check(settings: Settings, managed: ManagedDatabase) -> Job:
    """Describe the job that looks whether a managed database has the version, roles and rights needed."""
    return Job(
        name="database-check",
        workload=Workload(
            image=images.database(settings),
            user=USER,
            limits=Limits(memory=128, cpus="1.0"),
            command=("python3", "-m", "server", "check"),
            env={
                "APP_DATABASE_URL_FILE": "/run/files/app-database-url",
                "DATABASE_URL_FILE": "/run/files/database-url",
            },
            files=(
                secret_file("app-database-url", configured(managed.url)),
                secret_file("database-url", configured(managed.owner_url)),
            ),
            egress=egress(settings),
        ),
    )


def secret_file(name: str, secret: Secret) -> File:
    """Return a file that holds a secret."""
    return File(name, secret.value, secret.fingerprint, secret=True)


def egress(settings: Settings) -> tuple[Egress, ...]:
    """Return the way to a managed database; the stack's own is called inside."""
    managed = settings.managed_database
    return (Egress(EVERYWHERE, managed.port),) if managed else ()


def url(role: str, password: Secret, host: str) -> Secret:
    """Return the URL with which a role reaches this stack's database."""
    text = pulumi.Output.from_input(password.value).apply(
        lambda value: f"postgresql+psycopg://{role}:{quote(value, safe='')}@{host}:{PORT}/{DATABASE}"
    )
    return Secret(pulumi.Output.secret(text), f"{role}@{password.fingerprint}")


def app_url(settings: Settings, secrets: Secrets) -> Secret:
    """Return the URL that the app uses."""
    if settings.managed_database:
        return configured(settings.managed_database.url)
    return url(secrets.app_slot, secrets.app_passwords[secrets.app_slot], NAME)


def backup_url(settings: Settings, secrets: Secrets) -> Secret:
    """Return the URL that backups use: of a role that reads, or with a managed database of its owner."""
    if settings.managed_database:
        return configured(settings.backups.database_url or settings.managed_database.owner_url)
    return url(BACKUP, secrets.backup_password, NAME)


def owner_url(settings: Settings, secrets: Secrets) -> Secret:
    """Return the URL that migrations use."""
    if settings.managed_database:
        return configured(settings.managed_database.owner_url)
    return url(OWNER, secrets.owner_password, NAME)
