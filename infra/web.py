"""The Flask app: the migration that goes before a release, and the web service that is it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from infra import database, images, maintenance, release, saml
from infra.bundle import Bundle
from infra.model import FILES, Job, Limits, Probe, Service, Workload
from infra.origin import Origin
from infra.pin import Downgrade
from infra.secrets import Secret, Secrets, configured
from infra.settings import Patience, Settings

NAME = "web"
PORT = 8000
USER = 10001
MIGRATE = database.MIGRATE
DOWNGRADE = "downgrade"
RECORD = "record"
DIGEST = "RELEASE_DIGEST"
LEDGER = "0002"
"""The revision of the schema that makes the ledger; a release that does not know it has no command to write there."""
CREDENTIALS = ("database-url",)
"""The files with which a release gets in; they are today's, whichever release it is."""
FLASK = ("flask", "--app", "scaffold:create_app")
SECONDS_BEYOND_DRAINING = 5


def workload(settings: Settings, secrets: Secrets) -> Workload:
    """Describe the app as it serves, not yet told its release."""
    database_url = database.app_url(settings, secrets)
    networks = ",".join(settings.password_login_networks)
    keys = keys_of(settings, secrets)
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
            "WEB_THREADS": str(settings.web_threads),
            "WEB_WORKERS": str(settings.web_workers),
            **({"PASSWORD_LOGIN_NETWORKS": networks} if networks else {}),
            **{f"{name}_FILE": f"{FILES}/{release.file_name(name)}" for name in keys},
            **saml.environment(settings.saml, secrets.saml_pairs),
        },
        files=(
            maintenance.page(settings),
            database.secret_file("database-url", database_url),
            *(database.secret_file(release.file_name(name), key) for name, key in keys.items()),
            *saml.files(settings.saml, secrets.saml_pairs),
        ),
        egress=(*database.egress(settings), *saml.egress(settings.saml)),
    )


def keys_of(settings: Settings, secrets: Secrets) -> dict[str, Secret]:
    """Return the app's secrets by the names of its settings."""
    found = {
        "FACTOR_KEY": secrets.factor_key.current,
        "FACTOR_KEY_FALLBACKS": secrets.factor_key.others,
        "METRICS_TOKEN": configured(settings.metrics_token) if settings.metrics_token else None,
        "SECRET_KEY": secrets.secret_key.current,
        "SECRET_KEY_FALLBACKS": secrets.secret_key.others,
    }
    return {name: key for name, key in found.items() if key}


def migration(settings: Settings, secrets: Secrets) -> Workload:
    """Describe the app as it migrates, as the owner of the schema."""
    owner_url = database.owner_url(settings, secrets)
    return Workload(
        image=images.app(settings),
        user=USER,
        limits=Limits(memory=settings.web_memory, cpus=settings.web_cpus),
        env=environment(settings),
        command=(*FLASK, "db", "upgrade"),
        files=(database.secret_file("database-url", owner_url),),
        egress=database.egress(settings),
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


def bundle(settings: Settings, secrets: Secrets) -> Bundle:
    """Describe what is in the clone and the settings today, as a release; its schema steps are not looked at yet."""
    return Bundle(
        serve=workload(settings, secrets),
        migrate=migration(settings, secrets),
        stop_seconds=settings.drain_seconds + SECONDS_BEYOND_DRAINING,
    )


def jobs(
    settings: Settings, made: Bundle, origin: Origin, back: Downgrade | None, release_id: str, first: str
) -> list[Job]:
    """Describe what runs before a release serves, and what then writes it into the ledger; `first` goes before."""
    told = release.labelled(made.migrate, release_id)
    about = {**origin.notes, "RELEASE_BUNDLE": settings.release}
    notes = {**patience(settings.migration), **{name: value for name, value in about.items() if value}}
    downgrades = [downgrade(back, notes, release_id, first)] if back else []
    migrate = Job(
        name=MIGRATE,
        workload=told,
        release=release_id,
        after=(downgrades[0].name if downgrades else first,),
        notes=notes,
        digest_as=DIGEST,
    )
    if not keeps_ledger(made):
        return [*downgrades, migrate]
    record = Job(
        name=RECORD,
        workload=replace(told, command=(*FLASK, "release", "served")),
        release=release_id,
        once_serving=True,
        notes=notes,
        digest_as=DIGEST,
        acts_as=MIGRATE,
    )
    return [*downgrades, migrate, record]


def keeps_ledger(made: Bundle) -> bool:
    """Whether a release can say in the ledger that it serves: one from before the ledger records nothing."""
    return any(step.revision == LEDGER for step in made.steps)


def patience(migration: Patience) -> dict[str, str]:
    """Return what a migration is told about waiting: today's, whichever release migrates, and no part of what it is."""
    return {f"MIGRATION_{name.upper()}": str(value) for name, value in sorted(vars(migration).items())}


def downgrade(back: Downgrade, notes: Mapping[str, str], release_id: str, first: str) -> Job:
    """Describe taking the schema back: with the image that knows the way, before the release that needs it."""
    through = release.labelled(back.through.migrate, release_id)
    return Job(
        name=DOWNGRADE,
        workload=replace(through, command=(*FLASK, "db", "downgrade", back.to)),
        release=release_id,
        after=(first,),
        notes=notes,
        digest_as=DIGEST,
        acts_as=MIGRATE,
    )


def service(settings: Settings, made: Bundle, release_id: str, reachable_from: tuple[str, ...]) -> Service:
    """Describe the web service of a release."""
    return Service(
        name=NAME,
        workload=release.labelled(made.serve, release_id),
        port=PORT,
        probe=Probe(command=("probe-http", str(PORT), "/readyz"), alive=("probe-http", str(PORT), "/healthz")),
        reachable_from=reachable_from,
        stop_seconds=made.stop_seconds,
        release=release_id,
        replicas=settings.replicas,
        max_replicas=settings.kubernetes.max_replicas,
        after=(MIGRATE,),
    )
