"""The daemon the conformance tests run on: the one that is there, or one that a variable names."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

from tests.conftest import free_port
from tests.offline.docker_recordings import Change

BASE = "debian:trixie-slim"
HOST_VARIABLE = "SCAFFOLD_TEST_DOCKER_HOST"
SECONDS = 120


def daemon_host() -> str:
    """Return the address of the daemon under test, or the empty text for the default one."""
    return os.environ.get(HOST_VARIABLE, "")


def docker_command(*arguments: str, check: bool = True) -> str:
    """Run the Docker CLI against the daemon under test and return what it printed."""
    host = ["--host", daemon_host()] if daemon_host() else []
    done = subprocess.run(["docker", *host, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    if check:
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """Return what the daemon says of an object, or None when there is none."""
    found = json.loads(docker_command(kind, "inspect", name, check=False) or "[]")
    return found[0] if found else None


@dataclass
class Stage:
    """The real names and numbers behind the recordings' ones, unique to a test run."""

    run_id: str
    image: str
    other_image: str
    host_folder: str
    ports: dict[int, int] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """Return what the recordings' `conf-` becomes."""
        return f"conf-{self.run_id}-"

    def real(self) -> Change:
        """Return the change of a recorded leaf into a real one."""

        def change(leaf: Any) -> Any:
            if isinstance(leaf, int) and not isinstance(leaf, bool) and 28_000 <= leaf < 29_000:
                return self.ports.setdefault(leaf, free_port())
            if not isinstance(leaf, str):
                return leaf
            for recorded, real in (
                ("sha256:<image-a>", self.image),
                ("sha256:<image-b>", self.other_image),
                ("<host-dir>", self.host_folder),
                ("conf-", self.prefix),
            ):
                leaf = leaf.replace(recorded, real)
            for recorded_port, port in self.ports.items():
                leaf = leaf.replace(f":{recorded_port}", f":{port}")
            return leaf

        return change
