"""The targets: the same file names in each, chosen by the setting `platform` and loaded only then."""

from __future__ import annotations

from typing import Protocol

import pulumi

from infra.model import System
from infra.settings import Settings, SettingsError


class Platform(Protocol):
    """Something that runs a system."""

    def run(self, system: System, settings: Settings) -> pulumi.Output[str]:
        """Declare every resource of the system and return its release, once it serves; in a preview, at once."""


def platform_of(settings: Settings) -> Platform:
    """Return the platform that the settings name; raise SettingsError for one that this version cannot run."""
    if settings.platform == "docker":
        from infra.platforms.docker import system as docker

        return docker
    raise SettingsError(
        [
            "platform: got 'kubernetes', which this version does not run yet. "
            "Run on Docker: pulumi config set platform docker"
        ]
    )
