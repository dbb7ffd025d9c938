"""A registry of images for tests: Debian's own, a process of this test run alone, on a port of this machine."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster import packages
from setup.problem import Problem
from tests.conftest import LABEL, is_of_a_dead_run, run_docker
from tests.offline.conftest import wait_for

PACKAGE = "docker-registry"
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
HASHED = "local $/; my $password = <STDIN>; print crypt($password, q($2b$05$) . q(a.salt.of.these.tests.))"


def find_program(folder: Path) -> Path:
    """Return Debian's registry: the one on PATH, else its package, unpacked and not installed.

    Installing would start a registry on port 5000 for everybody. Its absence fails in CI and skips elsewhere.
    """
    present = shutil.which(PACKAGE)
    if present:
        return Path(present)
    program = folder / "usr" / "bin" / PACKAGE
    folder.mkdir(parents=True, exist_ok=True)
    words = "there is no apt-get to get it with"
    if shutil.which("apt-get"):
        try:
            for archive in packages.download([PACKAGE], folder, os.environ, lambda _: None, folder / "log"):
                subprocess.run(["dpkg-deb", "-x", archive, folder], check=True, capture_output=True, timeout=60)
        except Problem as problem:
            words = problem.cause
    if program.exists():
        return program
    missing = f"no {PACKAGE}: put it on PATH, or install the package of that name ({words})"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@dataclass
class Registry:
    """One registry. With users it lets nobody else in."""

    program: Path
    folder: Path
    users: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Return its address as an image's name begins with it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again on the port it had; it dies with this process."""
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", self.program, "serve", self._configured()],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        process = self.process

        def listening() -> re.Match[str] | None:
            said = log.read_text(errors="replace")
            assert process.poll() is None, said
            return LISTENING.search(said)

        self.port = int(wait_for(listening)[1])

    def stop(self) -> None:
        """End it; what it holds stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the digest under which an image lies in it, or None where it holds none of that name."""
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        request = urllib.request.Request(url, method="HEAD", headers={"Accept": MANIFESTS, **self._proof()})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return str(answer.headers["Docker-Content-Digest"])
        except urllib.error.HTTPError as refused:
            refused.close()
            if refused.code != 404:
                raise
            return None

    def _proof(self) -> dict[str, str]:
        pairs = [base64.b64encode(f"{user}:{password}".encode()).decode() for user, password in self.users.items()]
        return {"Authorization": f"Basic {pairs[0]}"} if pairs else {}

    def _configured(self) -> Path:
        settings: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}},
            "http": {"addr": self.host},
        }
        if self.users:
            lines = [f"{user}:{hashed(password)}\n" for user, password in self.users.items()]
            (self.folder / "htpasswd").write_text("".join(lines))
            settings["auth"] = {"htpasswd": {"realm": "trial", "path": str(self.folder / "htpasswd")}}
        written = self.folder / "config.yml"
        written.write_text(json.dumps(settings))
        return written


def hashed(password: str) -> str:
    """Return a password as the registry's file of users holds it."""
    done = subprocess.run(
        ["perl", "-e", HASHED], input=password, capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.startswith("$2b$"), done.stderr
    return done.stdout


def remove_images(run_id: str) -> None:
    """Remove the images that this test run built, and those of runs whose process is gone."""
    for identity in set(run_docker("image", "ls", "-aq", "--filter", f"label={LABEL}", check=False).split()):
        template = f'{{{{index .Config.Labels "{LABEL}"}}}}'
        name = run_docker("image", "inspect", "--format", template, identity, check=False)
        if name == run_id or is_of_a_dead_run(name):
            run_docker("rmi", "-f", identity, check=False)
