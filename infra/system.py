"""The one page that says what runs and who may reach whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from infra import (
    archive,
    backup,
    bundle,
    database,
    gateway,
    images,
    pin,
    recovery,
    release,
    restore,
    secrets,
    steps,
    web,
)
from infra.bundle import Bundle, Kept
from infra.model import Route, System
from infra.origin import NOWHERE, Origin
from infra.pin import Downgrade
from infra.secrets import Secrets
from infra.settings import Settings

PROGRAM = Path(__file__).resolve().parent
MIGRATIONS = images.ROOT / "app" / "migrations"


def describe(
    settings: Settings,
    project: str,
    stack: str,
    history: Sequence[Kept] = (),
    origin: Origin = NOWHERE,
    recover: str = "",
) -> tuple[System, Bundle]:
    """Describe the whole system of a stack, and what its release is made of; `recover` is a backup to load first."""
    kept = secrets.of(settings)
    made, back = chosen(settings, kept, history)
    release_id = release.id_of([made.serve, made.migrate], images.tag(PROGRAM, {}))
    managed = settings.managed_database
    backups = [backup.service(settings, kept)] if settings.backups.enabled else []
    restores = restore.services(settings, kept)
    prepared = database.check(settings, managed) if managed else database.roles(settings, kept)
    loaded = [recovery.job(settings, kept, recover, prepared.name)] if recover else []
    callers = (web.NAME, web.MIGRATE, *(each.name for each in (*backups, *restores)), *(each.name for each in loaded))
    own_database = [] if managed else [database.service(settings, kept, reachable_from=callers)]
    described = System(
        project=project,
        stack=stack,
        release=release_id,
        services=(
            gateway.service(settings),
            *own_database,
            web.service(settings, made, release_id, reachable_from=(gateway.NAME,)),
            *backups,
            *restores,
        ),
        jobs=(
            *(() if managed else archive.restores(settings, kept, database.DATABASE, database.USER, database.NAME)),
            prepared,
            *loaded,
            *web.jobs(settings, made, origin, back, release_id, first=loaded[0].name if loaded else prepared.name),
        ),
        volumes=(
            gateway.STATE,
            *(() if managed else (*archive.volumes(settings), database.SOCKET)),
            *backup.volumes(settings),
            *restore.volumes(settings),
        ),
        route=Route(
            service=web.NAME,
            gateway=gateway.NAME,
            site_url=settings.site_url,
            warm_paths=settings.warm_paths,
            ready_seconds=settings.ready_seconds,
        ),
        told={backup.NAME: backup.LAST} if settings.backups.enabled else {},
    )
    return described, made


def chosen(settings: Settings, kept: Secrets, history: Sequence[Kept]) -> tuple[Bundle, Downgrade | None]:
    """Return the release to run, the pinned one or today's, and how the schema has to be taken back for it."""
    today = web.bundle(settings, kept)
    if not settings.release:
        return replace(today, steps=steps.of(MIGRATIONS)), None
    found = pin.find(settings.release, history)
    back = pin.downgrade(found, history, today, web.CREDENTIALS, allowed=settings.release_downgrade)
    return bundle.restored(found, today, web.CREDENTIALS), back
