"""Where an update comes from: which revision of the clone, and who runs it; written into the ledger, and no more."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10
ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_REQUESTEDFOR")
"""Where the services that run pipelines tell on whose behalf they do."""


@dataclass(frozen=True)
class Origin:
    """A revision of the clone, empty where there is none, and who runs the update."""

    revision: str = ""
    by: str = ""

    @property
    def notes(self) -> dict[str, str]:
        """What the jobs that write the ledger are told."""
        return {"RELEASE_BY": self.by, "RELEASE_REVISION": self.revision}


NOWHERE = Origin()


def of(folder: Path, environment: Mapping[str, str]) -> Origin:
    """Return where an update from that folder comes from."""
    return Origin(revision(folder), actor(environment))


def revision(folder: Path) -> str:
    """Return the commit that the folder is at, with a mark where it was changed since; nothing where git says none."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def actor(environment: Mapping[str, str]) -> str:
    """Return who runs the update: on whose behalf a pipeline does, or the user of this machine."""
    for name in ACTORS:
        if environment.get(name):
            return environment[name]
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
