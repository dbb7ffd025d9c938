"""What every platform is to the program: what it takes, what it does, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pulumi

from infra.model import System
from infra.settings import Settings

Former = Mapping[tuple[str, str], str]
"""Images of former releases, by key: each as the platform has it now. They are taken, not built."""


@dataclass(frozen=True)
class Serving:
    """A release, known once it serves (in a preview, at once), and the platform's name for exactly its image.

    `told` is what services wrote into the files that the system names, nothing where that cannot be known in time.
    """

    release: pulumi.Output[str]
    digest: pulumi.Output[str]
    told: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)


class Platform(Protocol):
    """Something that runs a system."""

    def check(self, system: System, settings: Settings) -> Former:
        """Return the images that are not built; raise RunError where one is seen to be gone, with nothing declared."""

    def run(self, system: System, settings: Settings, former: Former) -> Serving:
        """Declare every resource of the system and return what serves."""

    def addresses(self, system: System) -> dict[str, str]:
        """Return where the system is reached, as outputs of the stack."""
