"""A real stack in a copy of the program, with its own project, state and port."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from operate.stack import YIELDING
from tests.conftest import ROOT, free_port, run_docker

PROJECT = "scaffold-test"
COPIED = ("Pulumi.yaml", "__main__.py", "infra", "kubeapi", "app", "gateway", "database", "backup")
UP_SECONDS = 1500


@dataclass(frozen=True)
class Answer:
    """What the site answered."""

    status: int
    headers: Message
    body: str


class NotFollowed(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to the test."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow nothing."""


@dataclass
class Site:
    """A stack under test: its folder, its address, and the verbs that a person types."""

    folder: Path
    stack: str
    port: int
    environment: dict[str, str]
    passphrase: str
    opener: urllib.request.OpenerDirector = field(default_factory=lambda: urllib.request.build_opener(NotFollowed))

    @property
    def url(self) -> str:
        """The site's address, without a slash at the end."""
        return f"http://localhost:{self.port}"

    def get(self, path: str = "/", headers: dict[str, str] | None = None, timeout: float = 10) -> Answer:
        """Ask the site and return its answer, whatever the status."""
        request = urllib.request.Request(self.url + path, headers=headers or {})
        try:
            with self.opener.open(request, timeout=timeout) as answer:
                return Answer(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, refused.headers, refused.read().decode())

    def wait_for(self, wanted: Callable[[Answer], bool], seconds: float = 30, path: str = "/") -> Answer:
        """Ask until the answer is the wanted one; fail with the last one."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.get(path)
            if wanted(answer):
                return answer
            assert time.monotonic() < deadline, f"after {seconds} s {path} still answers {answer.status}: {answer.body}"
            time.sleep(0.05)

    def pulumi(
        self, *arguments: str, check: bool = True, timeout: float = UP_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run the Pulumi CLI on the stack, as the verbs do."""
        done = subprocess.run(
            [*YIELDING, self.environment["SCAFFOLD_PULUMI"], *arguments, "--non-interactive"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"pulumi {' '.join(arguments)}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done

    def up(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `pulumi up`."""
        return self.pulumi("up", "--yes", "--skip-preview", *arguments, check=check)

    def config(self, key: str, value: str, *arguments: str) -> None:
        """Set a setting of the stack."""
        self.pulumi("config", "set", *arguments, key, value)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs."""
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json").stdout)
        return found

    def state(self) -> str:
        """Return the stack's state as it is stored."""
        return "".join(
            path.read_text() for path in (self.folder.parent / "state").rglob("*.json") if "stacks" in path.parts
        )

    def containers(self, service: str = "", *, running: bool = False) -> list[str]:
        """Return the names of the stack's containers, of one service if named."""
        filters = ["--filter", f"label=scaffold.stack={self.stack}"]
        if service:
            filters += ["--filter", f"label=scaffold.service={service}"]
        listing = ["ps", "--format", "{{.Names}}", *filters] + ([] if running else ["--all"])
        return sorted(run_docker(*listing).split())

    def kill_process(self, container: str) -> None:
        """Kill a container's first process from the host, as a crash would; `docker kill` ends the restarts too."""
        os.kill(int(run_docker("container", "inspect", "--format", "{{.State.Pid}}", container)), signal.SIGKILL)


def toolchain() -> dict[str, str]:
    """Return the environment in which Pulumi runs; skip where there is none, and fail in CI."""
    cli = os.environ.get("SCAFFOLD_PULUMI") or shutil.which("pulumi")
    if not cli:
        message = "no Pulumi CLI: run `make test`, which prepares one, or put pulumi on PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return {**os.environ, "SCAFFOLD_PULUMI": cli}


def copy_program(folder: Path) -> None:
    """Copy the program, renamed, to a folder where tests may break it."""
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    declared = (folder / "Pulumi.yaml").read_text()
    renamed, names = re.subn(r"^name: .*$", f"name: {PROJECT}", declared, flags=re.MULTILINE)
    renamed, environments = re.subn(r"virtualenv: .*$", f"virtualenv: {sys.prefix}", renamed, flags=re.MULTILINE)
    assert names == environments == 1
    (folder / "Pulumi.yaml").write_text(renamed)


def new_site(
    folder: Path,
    stack: str,
    differing: Mapping[str, str | None] | None = None,
    alter: Callable[[Path], None] | None = None,
) -> Site:
    """Make a stack with its own state and settings; nothing runs yet. A setting that differs as None is left out.

    `alter` may change the copied program first.
    """
    copy_program(folder / "program")
    if alter:
        alter(folder / "program")
    (folder / "state").mkdir()
    passphrase = os.urandom(16).hex()
    (folder / "passphrase").write_text(passphrase)
    (folder / "passphrase").chmod(0o600)
    environment = toolchain() | {
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_STACK": stack,
        "PULUMI_ERROR_OUTPUT_STRING": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("PULUMI_CONFIG_PASSPHRASE", None)
    site = Site(folder / "program", stack, free_port(), environment, passphrase)
    site.pulumi("stack", "init", stack)
    usual: dict[str, str | None] = {
        "environment": "development",
        "siteUrl": site.url,
        "siteName": "Scaffold under test",
        "gatewayPort": str(site.port),
        "maintenanceContactEmail": "operations@example.com",
        "readySeconds": "30",
        "drainSeconds": "5",
    }
    for key, value in {**usual, **(differing or {})}.items():
        if value is not None:
            site.config(key, value)
    return site
