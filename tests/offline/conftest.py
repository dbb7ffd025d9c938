"""A real Pulumi project for each test: its own home with the offline plugins, file backend, passphrase."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from offline import install

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_SECONDS = 120.0
PASSPHRASE = "a passphrase of these tests"
QUIET = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "NO_COLOR": "1",
}

settings.register_profile("busy", deadline=None)  # a loaded machine is no failure
settings.load_profile("busy")


@dataclass
class Project:
    """A project folder with one stack, `dev`, and the command line to drive it."""

    cli: Path
    folder: Path
    environment: dict[str, str]
    stack: str = "dev"
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def program(self, source: str) -> None:
        """Write the program."""
        (self.folder / "__main__.py").write_text(textwrap.dedent(source))

    def options(self, **options: str) -> None:
        """Write Pulumi.yaml with these `runtime.options` besides `toolchain: pip`."""
        lines = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in {"toolchain": "pip", **options}.items())
        (self.folder / "Pulumi.yaml").write_text(f"name: trial\nruntime:\n  name: python\n  options:\n{lines}")

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return subprocess.run(
            [self.cli, *arguments, "--non-interactive"], cwd=self.folder, env=self.environment,
            input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip

    def succeed(self, *arguments: str, stdin: str | None = None) -> str:
        """Run the command line and return what it printed; fail the test when it fails."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"pulumi {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def fail(self, *arguments: str) -> str:
        """Run the command line, which must fail, and return what it printed."""
        done = self.run(*arguments)
        assert done.returncode != 0, f"pulumi {' '.join(arguments)} should have failed:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def up(self, *arguments: str) -> str:
        """Update without a preview."""
        return self.succeed("up", "--yes", "--skip-preview", "--stack", self.stack, *arguments)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs in clear."""
        found: dict[str, Any] = json.loads(
            self.succeed("stack", "output", "--json", "--show-secrets", "--stack", self.stack)
        )
        return found

    def deployment(self) -> dict[str, Any]:
        """Return the state, encrypted as it is stored."""
        found: dict[str, Any] = json.loads(self.succeed("stack", "export", "--stack", self.stack))["deployment"]
        return found

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command line and return at once; the fixture ends it."""
        process = subprocess.Popen(
            [self.cli, *arguments, "--non-interactive"], cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.started.append(process)
        return process


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return the condition's first true value; fail the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {seconds} s in vain")


def alive(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="session")
def pulumi_cli() -> Path:
    """The command line named by SCAFFOLD_PULUMI, else the one on PATH; its absence fails in CI and skips elsewhere."""
    named = os.environ.get("SCAFFOLD_PULUMI") or shutil.which("pulumi")
    if named and os.access(named, os.X_OK):
        return Path(named).absolute()
    missing = "no Pulumi command line: name one with SCAFFOLD_PULUMI, or put it on PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def pulumi_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Pulumi home with this repository's plugins, run by the tests' own interpreter."""
    home = tmp_path_factory.mktemp("pulumi-home")
    install.install_plugins(home, Path(sys.executable), ROOT)
    return home


def made_project(cli: Path, home: Path, root: Path) -> Project:
    """A project whose folder, backend and passphrase lie under `root`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    environment.update(
        QUIET,
        PULUMI_HOME=str(home),
        PULUMI_BACKEND_URL=f"file://{root / 'backend'}?metadata=skip",
        PULUMI_CONFIG_PASSPHRASE_FILE=str(root / "passphrase"),
    )
    return Project(cli, root / "project", environment)


@pytest.fixture(scope="session")
def blank(pulumi_cli: Path, pulumi_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty project and its stack `dev`, to be copied: making one takes half a second."""
    root = tmp_path_factory.mktemp("blank")
    (root / "backend").mkdir()
    (root / "project").mkdir()
    (root / "passphrase").write_text(PASSPHRASE)
    made = made_project(pulumi_cli, pulumi_home, root)
    made.options(virtualenv=sys.prefix)
    made.succeed("stack", "init", "dev", "--no-select", "--secrets-provider", "passphrase")
    return root


@pytest.fixture
def project(blank: Path, pulumi_cli: Path, pulumi_home: Path, tmp_path: Path) -> Iterator[Project]:
    """A fresh project with stack `dev`, in the tests' own virtual environment; nothing it started stays."""
    shutil.copytree(blank, tmp_path, dirs_exist_ok=True)
    made = made_project(pulumi_cli, pulumi_home, tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=TIMEOUT_SECONDS)
