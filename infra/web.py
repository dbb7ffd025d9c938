"""The Flask app: the migration that goes before a release, and the web service that is it."""

from __future__ import annotations

from infra import database, images, maintenance, release
from infra.model import Egress, Job, Limits, Probe, Service, Workload
from infra.secrets import Secrets
from infra.settings import Settings

NAME = "web"
PORT = 8000
USER = 10001
MIGRATE = database.MIGRATE
SECONDS_BEYOND_DRAINING = 5


def workload(settings: Settings, secrets: Secrets) -> Workload:
    """Describe the app as it serves, not yet told its release."""
    database_url = database.app_url(settings, secrets)
    return Workload(
        image=images.app(settings),
        user=USER,
        limits=Limits(memory=settings.web_memory, cpus=settings.web_cpus),
        env={
            **environment(settings),
            "DRAIN_SECONDS": str(settings.drain_seconds),
            "DEBUG": str(settings.debug).lower(),
            "MAINTENANCE_PAGE_FILE": "/run/files/maintenance.html",
            "PASSWORD_LOGIN_ENABLED": str(settings.password_login_enabled).lower(),
            "SECRET_KEY_FILE": "/run/files/secret-key",
            "WEB_THREADS": str(settings.web_threads),
            "WEB_WORKERS": str(settings.web_workers),
        },
        files=(
            maintenance.page(settings),
            database.secret_file("secret-key", secrets.secret_key),
            database.secret_file("database-url", database_url),
        ),
        egress=egress(settings),
    )


def migration(settings: Settings, secrets: Secrets) -> Workload:
    """Describe the app as it migrates, as the owner of the schema."""
    owner_url = database.owner_url(settings, secrets)
    return Workload(
        image=images.app(settings),
        user=USER,
        limits=Limits(memory=settings.web_memory, cpus=settings.web_cpus),
        env=environment(settings),
        command=("flask", "--app", "scaffold:create_app", "db", "upgrade"),
        files=(database.secret_file("database-url", owner_url),),
        egress=egress(settings),
    )


def environment(settings: Settings) -> dict[str, str]:
    """Return what the app is told in both roles; nothing of it is secret."""
    told = {
        "ENVIRONMENT": settings.environment,
        "LOG_LEVEL": settings.log_level.upper(),
        "SITE_NAME": settings.site_name,
        "SITE_URL": settings.site_url,
        "SQLALCHEMY_DATABASE_URI_FILE": "/run/files/database-url",
    }
    optional = {
        "MAINTENANCE_CONTACT_EMAIL": settings.maintenance_contact_email,
        "MAINTENANCE_CONTACT_LABEL": settings.maintenance_contact_label,
        "MAINTENANCE_CONTACT_LINK": settings.maintenance_contact_link,
        "SQLALCHEMY_ENGINE_OPTIONS": settings.sqlalchemy_engine_options,
    }
    return told | {name: value for name, value in optional.items() if value}


def egress(settings: Settings) -> tuple[Egress, ...]:
    """Return what the app calls outside."""
    return database.egress(settings.managed_database) if settings.managed_database else ()


def migrate(settings: Settings, secrets: Secrets, release_id: str, after: tuple[str, ...]) -> Job:
    """Describe the migration of a release."""
    told = release.labelled(migration(settings, secrets), release_id)
    return Job(name=MIGRATE, workload=told, release=release_id, after=after)


def service(settings: Settings, secrets: Secrets, release_id: str, reachable_from: tuple[str, ...]) -> Service:
    """Describe the web service of a release."""
    return Service(
        name=NAME,
        workload=release.labelled(workload(settings, secrets), release_id),
        port=PORT,
        probe=Probe(command=("probe-http", str(PORT), "/readyz"), alive=("probe-http", str(PORT), "/healthz")),
        reachable_from=reachable_from,
        stop_seconds=settings.drain_seconds + SECONDS_BEYOND_DRAINING,
        release=release_id,
        replicas=settings.replicas,
        max_replicas=settings.kubernetes.max_replicas,
        after=(MIGRATE,),
    )
