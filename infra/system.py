"""The one page that says what runs and who may reach whom."""

from __future__ import annotations

from pathlib import Path

from infra import database, gateway, images, release, secrets, web
from infra.model import Route, System
from infra.settings import Settings

PROGRAM = Path(__file__).resolve().parent


def describe(settings: Settings, project: str, stack: str) -> System:
    """Describe the whole system of a stack."""
    kept = secrets.of(settings)
    release_id = release.id_of([web.workload(settings, kept), web.migration(settings, kept)], images.tag(PROGRAM, {}))
    managed = settings.managed_database
    own_database = [] if managed else [database.service(settings, reachable_from=(web.NAME, web.MIGRATE))]
    before_migration = database.check(settings, managed) if managed else database.roles(settings, kept)
    return System(
        project=project,
        stack=stack,
        release=release_id,
        services=(
            gateway.service(settings),
            *own_database,
            web.service(settings, kept, release_id, reachable_from=(gateway.NAME,)),
        ),
        jobs=(before_migration, web.migrate(settings, kept, release_id, after=(before_migration.name,))),
        volumes=(gateway.STATE,) if managed else (gateway.STATE, database.DATA, database.SOCKET),
        route=Route(
            service=web.NAME,
            gateway=gateway.NAME,
            site_url=settings.site_url,
            warm_paths=settings.warm_paths,
            ready_seconds=settings.ready_seconds,
        ),
    )
