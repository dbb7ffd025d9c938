"""A clone with a program of one resource, prepared and worked on as a person's would be, in folders of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from setup.facts import packages_digest, requirements_for
from setup.places import places_from

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "setup", "operate", "offline", "kubeapi", "Makefile", "Pulumi.yaml", ".gitignore",
    "requirements.txt", "requirements-kubernetes.txt",
)  # fmt: skip
PROGRAM = """
import os
import time
import pulumi
import pulumi_random

config = pulumi.Config()
pulumi_random.RandomId("thing", byte_length=4, opts=pulumi.ResourceOptions(protect=config.get_bool("protectData")))
if os.environ.get("HOLD"):
    open(os.environ["HOLD"], "w").close()
    while os.path.exists(os.environ["HOLD"]):
        time.sleep(0.02)
pulumi.export("siteUrl", config.require("siteUrl"))
pulumi.export("siteName", config.require("siteName"))
pulumi.export("keyLength", config.require_secret("releaseKey").apply(len))
"""


@dataclass
class Clone:
    """A clone and a user with folders of their own; `make` runs one of its verbs."""

    folder: Path
    user: Path
    stack: str
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    patience: float = 120

    @property
    def state(self) -> Path:
        return self.user / "state" / "scaffold"

    @property
    def cache(self) -> Path:
        return self.user / "cache" / "scaffold"

    @property
    def stack_file(self) -> Path:
        return self.state / "stacks" / f"Pulumi.{self.stack}.yaml"

    @property
    def tracked(self) -> Path:
        return self.folder / f"Pulumi.{self.stack}.yaml"

    def start(self, verb: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["make", "-s", verb, f"ARGS={' '.join(arguments)}"],
            cwd=self.folder,
            env={**self.environment, **variables},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def make(self, verb: str, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run a verb to its end and return its exit code and what it said."""
        process = self.start(verb, *arguments, **variables)
        try:
            said, _ = process.communicate(timeout=self.patience)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return process.returncode, said

    def changes(self) -> str:
        """What git says is changed or new in the clone."""
        return subprocess.run(
            ["git", "status", "--short"], cwd=self.folder, capture_output=True, text=True, timeout=30, check=True
        ).stdout


def make_clone(folder: Path, user: Path, environment: Mapping[str, str]) -> Clone:
    """Make a clone whose program has one resource, with the packages of this run's environment."""
    stack = f"t{uuid.uuid4().hex[:8]}"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "cli"))
        else:
            shutil.copy2(source, folder / name)
    shutil.copytree(ROOT / "offline" / "cli", folder / "offline" / "cli")
    (folder / "__main__.py").write_text(PROGRAM)
    clone = Clone(folder, user, stack, port, own_environment(environment, user, stack))
    write_tracked(clone)
    borrow_packages(folder)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "The clone"]):
        subprocess.run([*git, *command], cwd=folder, timeout=60, check=True)
    return clone


def write_tracked(clone: Clone, **settings: str) -> None:
    """Write the clone's tracked stack file."""
    values = {"environment": "development", "siteName": "First", "gatewayPort": str(clone.port), "protectData": "false"}
    values |= {"siteUrl": f"http://localhost:{clone.port}", **settings}
    lines = "".join(f"  scaffold:{key}: {value}\n" for key, value in values.items())
    clone.tracked.write_text(f"# The values of this stack.\nconfig:\n{lines}")


def own_environment(environment: Mapping[str, str], user: Path, stack: str) -> dict[str, str]:
    """Return the environment of a user with nothing prepared but the command line and the packages."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("SCAFFOLD_", "PULUMI_", "XDG_", "MAKE", "MFLAGS"))
        and name not in ("STACK", "ARGS", "CI")
    }
    return kept | {
        "XDG_CACHE_HOME": str(user / "cache"),
        "XDG_STATE_HOME": str(user / "state"),
        "SCAFFOLD_PULUMI": command_line(environment),
        "PYTHON": sys.executable,
        "STACK": stack,
    }


def command_line(environment: Mapping[str, str]) -> str:
    """Return the Pulumi command line that the tests run with, or skip the test where there is none."""
    found = environment.get("SCAFFOLD_PULUMI") or shutil.which("pulumi")
    if not found:
        pytest.skip("there is no pulumi on PATH; `make test` provides one")
    return found


def borrow_packages(folder: Path, platform: str = "docker") -> None:
    """Give the clone this run's packages, as if its own pins had been installed."""
    venv = folder / ".venv"
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    wanted = requirements_for(platform, places_from({"HOME": str(folder)}, folder))
    (venv / ".scaffold-requirements").write_text(packages_digest(folder, wanted))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh clone of a user with nothing prepared."""
    return make_clone(tmp_path / "clone", tmp_path / "user", os.environ)


@pytest.fixture(scope="module")
def used_clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone on which `make up` has run once."""
    folder = tmp_path_factory.mktemp("used")
    clone = make_clone(folder / "clone", folder / "user", os.environ)
    code, said = clone.make("up")
    assert code == 0, said
    yield clone
    assert clone.changes() == "" or clone.changes().split() == ["M", clone.tracked.name]
