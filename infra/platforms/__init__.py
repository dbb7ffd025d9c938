"""The targets: the same file names in each, chosen by the setting `platform` and loaded only then."""

from __future__ import annotations

from infra.platforms.contract import Platform
from infra.settings import Settings


def platform_of(settings: Settings) -> Platform:
    """Return the platform that the settings name."""
    if settings.platform == "docker":
        from infra.platforms.docker import system as docker

        return docker
    from infra.platforms.kubernetes import system as kubernetes

    return kubernetes
