"""Builds the Pulumi command line from its Go module, and puts the plugins' launchers where it looks for them.

For machines that reach package mirrors only. Runs before there is a virtual environment: standard library alone.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from setup import gobuild
from setup.files import write_atomically
from setup.gobuild import Build
from setup.locks import Held, lock
from setup.problem import Problem
from setup.terminal import Progress

MODULE = Path(__file__).resolve().parent / "cli"
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
BUILD = Build(
    "Pulumi's command line",
    MODULE,
    "4 GB",  # modules 1.6 GB, build cache 1.6 GB, the linker's work, the program 0.1 GB
    2**29,
    ", or put `pulumi` itself on PATH",
)


@dataclass(frozen=True)
class Plugin:
    """A plugin of this folder: its package, and where Pulumi looks for it."""

    package: str
    kind: str
    name: str
    version: str

    @property
    def folder(self) -> str:
        """The folder's name under `plugins/` in Pulumi's home."""
        return f"{self.kind}-{self.name}-v{self.version}"

    @property
    def program(self) -> str:
        """The program's name in that folder."""
        return f"pulumi-{self.kind}-{self.name}"


def plugins(repository: Path) -> list[Plugin]:
    """Return the plugins of the repository, in the versions that the Python packages are pinned to.

    Kubernetes' is among them wherever a stack may need it: its SDK is pinned in a file of its own, and a launcher costs
    nothing. Raises Problem when requirements.txt pins none of them.
    """
    # What both files pin, requirements.txt decides.
    texts = [*_if_there(repository / "requirements-kubernetes.txt"), (repository / "requirements.txt").read_text()]
    pins = dict(re.findall(r"^(pulumi[a-z-]*)==([0-9][0-9.]*)", "\n".join(texts), re.M))
    found = [Plugin("language_python", "language", "python", pins["pulumi"])] if "pulumi" in pins else []
    found += [
        Plugin(name, "resource", name, pins[f"pulumi-{name}"])
        for name in ("docker", "random", "tls", "kubernetes")
        if f"pulumi-{name}" in pins and (repository / "offline" / name / "__main__.py").is_file()
    ]
    if not found:
        raise Problem(f"{repository / 'requirements.txt'} pins no Pulumi package.", "restore the file: git checkout it")
    return found


def _if_there(path: Path) -> list[str]:
    return [path.read_text()] if path.exists() else []


def install_plugins(pulumi_home: Path, python: Path, repository: Path) -> list[Path]:
    """Write the launchers of the plugins into Pulumi's home and return them; each is replaced in one step.

    `python` is the interpreter with requirements.txt installed; `repository` holds `offline/`.
    """
    written = []
    for plugin in plugins(repository):
        target = pulumi_home / "plugins" / plugin.folder / plugin.program
        write_atomically(target, launcher(plugin, python, repository).encode(), mode=0o755)
        written.append(target)
    return written


def launcher(plugin: Plugin, python: Path, repository: Path) -> str:
    """Return a plugin's launcher: a shell script, because a `#!` line takes neither spaces nor long paths."""
    interpreter = shlex.quote(str(python))
    script = shlex.quote(str(repository / "offline" / "start.py"))
    return (
        "#!/bin/sh\n"
        f"if [ ! -x {interpreter} ] || [ ! -f {script} ]; then\n"
        f"  echo 'the plugin {plugin.name} has lost its Python environment or its sources; run `make up` again' >&2\n"
        "  exit 1\n"
        "fi\n"
        f'exec {interpreter} -I -S {script} {plugin.package} "$@"\n'
    )


def version() -> str:
    """Return the version of Pulumi that offline/cli/go.mod builds."""
    found = re.search(r"^\s*github\.com/pulumi/pulumi/pkg/v3 v(\S+)", (MODULE / "go.mod").read_text(), re.M)
    if found is None:
        raise Problem(f"{MODULE / 'go.mod'} does not require Pulumi.", "restore the file: git checkout it")
    return found[1]


def source_digest() -> str:
    """Return what tells one build from another: the version, the modules' hashes, and the kind of machine."""
    total = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        total.update(hashlib.sha256((MODULE / name).read_bytes()).digest())
    return f"{version()} {platform.machine()} {total.hexdigest()}"


def build_cli(destination: Path, progress: Progress, environment: Mapping[str, str] | None = None) -> Path:
    """Build the Pulumi command line as `destination`, unless that is this version's build already, and return it.

    Two builds at once wait for each other. Takes 4 to 8 minutes with nothing cached, on two cores. Raises Problem when
    there is no Go, no network, no room, or another build that does not end.
    """
    stamp = destination.with_name(f"{destination.name}.source")
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _alone(destination, progress):
        if os.access(destination, os.X_OK) and stamp.is_file() and stamp.read_text() == source_digest():
            return destination
        surroundings = {**(os.environ if environment is None else environment)}
        go = gobuild.find_go(BUILD, surroundings)
        gobuild.check_room(BUILD, destination.parent)
        stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".building-") as folder:
            made = Path(folder) / "pulumi"
            progress("building the Pulumi command line from its Go module; some minutes where nothing is cached")
            gobuild.perform(BUILD, command(go, made), surroundings, progress)
            made.chmod(0o755)
            made.replace(destination)
        write_atomically(stamp, source_digest().encode())
    return destination


def command(go: str, target: Path) -> list[str]:
    """Return the build's command line."""
    flags = f"-s -w -X {VERSION_VARIABLE}={version()}"
    return [go, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags", flags, "-o", str(target), PACKAGE]


@contextmanager
def _alone(destination: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock that lets one build of a destination run at a time."""
    try:
        with lock(
            destination.with_name(f".{destination.name}.lock"),
            "builds the Pulumi command line",
            wait=gobuild.BUILD_SECONDS,
            waiting=lambda holder: progress(f"waiting for {holder or 'another build'}"),
        ):
            yield
    except Held as error:
        raise Problem(
            f"Another build of Pulumi's command line still runs: {error.holder or 'unknown'}.",
            "wait for it, or stop it, and run this again",
        ) from error
