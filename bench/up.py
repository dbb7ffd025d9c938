"""`make up` on a machine with nothing cached, with all of it built but no stack, and with nothing changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench import empty_daemon
from bench.row import Row
from tests.conftest import ROOT, free_port

SECONDS = 3600
NOT_INHERITED = re.compile(r"(SCAFFOLD_|PULUMI_|XDG_|GO[A-Z]+CACHE|MAKE|MFLAGS|VIRTUAL_ENV|ARGS$|STACK$|CI$)")


class Machine:
    """A home and a Docker daemon of their own; the clone is a copy, so that nothing of the real one is used."""

    def __init__(self, folder: Path, docker_host: str) -> None:
        self.clone = folder / "scaffold"
        self.port = free_port()
        tracked = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=30, check=True
        ).stdout
        for name in filter(None, tracked.decode().split("\0")):
            (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.clone / name)
        development = self.clone / "Pulumi.dev.yaml"
        text = development.read_text().replace("localhost:8000", f"localhost:{self.port}")
        development.write_text(f"{text}  scaffold:gatewayPort: {self.port}\n")
        self.environment = {name: value for name, value in os.environ.items() if not NOT_INHERITED.match(name)} | {
            "PATH": os.pathsep.join(entry for entry in os.environ["PATH"].split(os.pathsep) if "scaffold" not in entry),
            "DOCKER_HOST": docker_host,
            "GOCACHE": str(folder / "go-build"),
            "GOMODCACHE": str(folder / "go-mod"),
            "GOFLAGS": "-modcacherw",
            "PIP_CACHE_DIR": str(folder / "pip"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def make(self, *arguments: str) -> float:
        """Run a verb and return how long it took; raise RuntimeError with its last words when it fails."""
        started = time.monotonic()
        done = subprocess.run(
            ["make", *arguments],
            cwd=self.clone,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"make {' '.join(arguments)}:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
        return time.monotonic() - started


def rows() -> list[Row]:
    """Measure the three in the order in which a person meets them."""
    with tempfile.TemporaryDirectory(prefix="scaffold-bench-") as name:
        folder = Path(name)
        with empty_daemon.running(folder) as docker_host:
            machine = Machine(folder, docker_host)
            cold = machine.make("up")
            machine.make("destroy", "DELETE_DATA=yes", "YES=yes")
            built = machine.make("up")
            again = machine.make("up")
            machine.make("destroy", "DELETE_DATA=yes", "YES=yes")
    return [
        Row("`make up`, nothing built or cached", cold / 60, 12, "min", "own home, caches and empty Docker daemon"),
        Row("`make up`, all built, no stack yet", built, 60, "s", "after `make destroy DELETE_DATA=yes`"),
        Row("`make up` again, nothing changed", again, 10, "s", "right after it"),
    ]
