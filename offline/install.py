"""Builds the Pulumi command line from its Go module, and puts the plugins' launchers where it looks for them.

For machines that reach package mirrors only. Runs before there is a virtual environment: standard library alone.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from setup.files import write_atomically
from setup.locks import Held, lock
from setup.problem import Problem
from setup.processes import Failed, follow, run

MODULE = Path(__file__).resolve().parent / "cli"
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
BUILD_SECONDS = 3600.0
ROOM = "4 GB"  # modules 1.6 GB, build cache 1.6 GB, the linker's work, the program 0.1 GB
LEAST_BYTES = 2**29  # with everything cached already: the linker's work and the program

Progress = Callable[[str], None]


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


@dataclass(frozen=True)
class Go:
    """The Go that is there, and the one go.mod wants."""

    program: str
    version: tuple[int, ...]
    wanted: str


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
        for name in ("docker", "random", "kubernetes")
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
    script = shlex.quote(str(repository / "offline" / "launch.py"))
    return (
        "#!/bin/sh\n"
        f"if [ ! -x {interpreter} ] || [ ! -f {script} ]; then\n"
        f"  echo 'the plugin {plugin.name} has lost its Python environment or its sources; run `make up` again' >&2\n"
        "  exit 1\n"
        "fi\n"
        f'exec {interpreter} -I {script} {plugin.package} "$@"\n'
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
        go = find_go(surroundings)
        _check_room(destination.parent)
        stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".building-") as folder:
            made = Path(folder) / "pulumi"
            progress("building the Pulumi command line from its Go module; some minutes where nothing is cached")
            counted = _Counted(progress)
            try:
                follow(
                    command(go, made), BUILD_SECONDS, counted.line,
                    environment=build_environment(surroundings), folder=MODULE,
                )  # fmt: skip
            except Failed as error:
                raise explained(error, go) from error
            made.chmod(0o755)
            made.replace(destination)
        write_atomically(stamp, source_digest().encode())
    return destination


def find_go(environment: Mapping[str, str]) -> Go:
    """Return the Go on PATH; raise Problem where there is none, or one too old to fetch a newer one by itself."""
    wanted = re.search(r"^go (\S+)", (MODULE / "go.mod").read_text(), re.M)
    wants = wanted[1] if wanted else "1.25"
    program = shutil.which("go", path=environment.get("PATH"))
    if program is None:
        raise Problem(
            "There is no Go to build Pulumi's command line with.",
            "install one (apt-get install golang-go), or put `pulumi` itself on PATH",
        )
    said = run([program, "env", "GOVERSION"], timeout=60, environment={**environment, "GOTOOLCHAIN": "local"}).strip()
    numbers = tuple(int(number) for number in re.findall(r"\d+", said)[:3])
    if numbers < (1, 21):
        raise Problem(
            f"{program} is {said}; Pulumi's command line takes Go {wants}, which Go 1.21 or newer fetches by itself.",
            "install a newer Go (apt-get install golang-1.21-go or later), or put `pulumi` itself on PATH",
        )
    return Go(program, numbers, wants)


def command(go: Go, target: Path) -> list[str]:
    """Return the build's command line."""
    flags = f"-s -w -X {VERSION_VARIABLE}={version()}"
    return [go.program, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags", flags, "-o", str(target), PACKAGE]


def build_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the build's environment: no C compiler, and a newer Go fetched as a module where go.mod wants one.

    Distributions ship a Go that never fetches another, unless told otherwise.
    """
    return {**environment, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOFLAGS": "", "GOWORK": "off"}


def explained(error: Failed, go: Go) -> Problem:
    """Return what a failed build means, with what to do."""
    words = error.words
    last = "\n".join(words.splitlines()[-6:])
    if error.code is None:
        return Problem(
            f"Building Pulumi's command line did not end within {BUILD_SECONDS / 60:.0f} minutes.",
            "run it again: what was built is kept",
        )
    if "no space left on device" in words:
        return Problem(
            f"The disk became full while Pulumi's command line was built:\n{last}",
            f"free {ROOM}, or set GOCACHE and GOMODCACHE to folders on a larger disk",
        )
    if "checksum mismatch" in words or "SECURITY ERROR" in words:
        return Problem(
            f"The module mirror delivered something else than offline/cli/go.sum says:\n{last}",
            "do not go on; set GOPROXY to a mirror you trust, and run `go clean -modcache`",
        )
    if re.search(r"download go1|toolchain not available|requires go >=|invalid GOTOOLCHAIN", words):
        return Problem(
            f"Go {go.wanted} is wanted, {'.'.join(map(str, go.version))} is here, and it could not fetch it:\n{last}",
            f"install Go {go.wanted} or newer, or set GOPROXY to a mirror that has golang.org/toolchain",
        )
    if re.search(r"dial tcp|no such host|i/o timeout|connection re|proxyconnect|TLS|x509|: 40[34] |: 5\d\d ", words):
        return Problem(
            f"The Go modules of Pulumi's command line could not be fetched:\n{last}",
            "see that the machine reaches a Go module mirror, and set GOPROXY to it (`go env GOPROXY` shows it)",
        )
    return Problem(f"Pulumi's command line could not be built:\n{last}", f"run it by hand: cd {MODULE} && go build")


class _Counted:
    """Turns go's lines, thousands of them, into a count that a person can watch."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._modules = 0
        self._packages = 0

    def line(self, words: str) -> None:
        if words.startswith("go: downloading go1"):
            self._progress(f"fetching {words.removeprefix('go: downloading ')}")
        elif words.startswith("go: downloading "):
            self._modules += 1
            if self._modules % 25 == 1:
                self._progress(f"fetching Go modules: {self._modules}")
        elif re.fullmatch(r"[\w./~-]+", words):
            self._packages += 1
            if self._packages % 50 == 1:
                self._progress(f"compiling the Pulumi command line: {self._packages} packages")
        else:
            self._progress(words)


@contextmanager
def _alone(destination: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock that lets one build of a destination run at a time."""
    try:
        with lock(
            destination.with_name(f".{destination.name}.lock"),
            "builds the Pulumi command line",
            wait=BUILD_SECONDS,
            waiting=lambda holder: progress(f"waiting for {holder or 'another build'}"),
        ):
            yield
    except Held as error:
        raise Problem(
            f"Another build of Pulumi's command line still runs: {error.holder or 'unknown'}.",
            "wait for it, or stop it, and run this again",
        ) from error


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < LEAST_BYTES:
        raise Problem(
            f"Building Pulumi's command line takes up to {ROOM}; {folder} has {free / 2**30:.1f} GB left.",
            "free some room, or set SCAFFOLD_CACHE_DIR to a folder on a larger disk",
        )
