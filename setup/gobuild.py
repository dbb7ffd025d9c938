"""Builds from Go modules: which Go there is, how far a build has come, and what its failure means."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup.problem import Problem
from setup.processes import Failed, follow, run
from setup.terminal import Progress

ROOT = Path(__file__).resolve().parent.parent
BUILD_SECONDS = 3600.0
OLDEST = (1, 21)
"""The oldest Go that fetches the newer one which a module wants."""
SOME_MODULES, SOME_PACKAGES = 25, 50
"""After how many of them a person who waits is told."""


@dataclass(frozen=True)
class Build:
    """What is built, as people call it, from which module, the room that takes, and another way to have it.

    With everything cached, `least_bytes` will do: the linker's work and the programs.
    """

    what: str
    module: Path
    room: str
    least_bytes: int
    otherwise: str = ""

    @property
    def wanted(self) -> str:
        """The Go that go.mod wants."""
        found = re.search(r"^go (\S+)", (self.module / "go.mod").read_text(encoding="utf-8"), re.M)
        return found[1] if found else "a newer version"


def perform(
    build: Build, command: Sequence[str], environment: Mapping[str, str], progress: Progress, name: str = ""
) -> None:
    """Run one command of a build; raise Problem with the cause and what to do where it fails.

    `name` tells it from others before the counts that a person sees.
    """
    counted = _Counted(f"{name}: " if name else "", progress)
    try:
        follow(list(command), BUILD_SECONDS, counted.line, environment=environment_of(environment), folder=build.module)
    except Failed as error:
        raise explained(error, build) from error


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a build's environment: no C compiler, and a newer Go fetched as a module where go.mod wants one.

    Distributions ship a Go that never fetches another, unless told otherwise.
    """
    return {**environment, "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto", "GOFLAGS": "", "GOWORK": "off"}


def find_go(build: Build, environment: Mapping[str, str]) -> str:
    """Return the Go on PATH; raise Problem where there is none, or one too old to fetch a newer one by itself."""
    program = shutil.which("go", path=environment.get("PATH"))
    if program is None:
        raise Problem(
            f"There is no Go to build {build.what} with.", f"install one: apt-get install golang-go{build.otherwise}"
        )
    said = run([program, "env", "GOVERSION"], timeout=60, environment={**environment, "GOTOOLCHAIN": "local"}).strip()
    if tuple(int(number) for number in re.findall(r"\d+", said)[:2]) < OLDEST:
        raise Problem(
            f"{program} is {said}; {build.what} takes Go {build.wanted}, which Go 1.21 or newer fetches by itself.",
            f"install a newer Go: apt-get install golang-1.21-go or later{build.otherwise}",
        )
    return program


def check_room(build: Build, folder: Path) -> None:
    """Raise Problem where a folder's disk has not even the room that a build takes with everything cached."""
    free = shutil.disk_usage(folder).free
    if free < build.least_bytes:
        raise Problem(
            f"Building {build.what} takes up to {build.room}; {folder} has {free / 2**30:.1f} GB left.",
            "free some room, or set SCAFFOLD_CACHE_DIR to a folder on a larger disk",
        )


def explained(error: Failed, build: Build) -> Problem:
    """Return what a failed build means, with what to do."""
    words, what = error.words, build.what
    last = "\n".join(words.splitlines()[-6:])
    if error.code is None:
        return Problem(
            f"Building {what} did not end within {BUILD_SECONDS / 60:.0f} minutes.",
            "run it again: what was built is kept",
        )
    if "no space left on device" in words:
        return Problem(
            f"The disk became full while {what} was built:\n{last}",
            f"free {build.room}, or set GOCACHE and GOMODCACHE to folders on a larger disk",
        )
    if "checksum mismatch" in words or "SECURITY ERROR" in words:
        return Problem(
            f"The module mirror delivered something else than {build.module.relative_to(ROOT)}/go.sum says:\n{last}",
            "do not go on; set GOPROXY to a mirror you trust, and run `go clean -modcache`",
        )
    if re.search(r"download go1|toolchain not available|requires go >=|invalid GOTOOLCHAIN", words):
        return Problem(
            f"Go {build.wanted} is wanted for {what}, and the one that is here could not fetch it:\n{last}",
            f"install Go {build.wanted} or newer, or set GOPROXY to a mirror that has golang.org/toolchain",
        )
    if re.search(r"dial tcp|no such host|i/o timeout|connection re|proxyconnect|TLS|x509|: 40[34] |: 5\d\d ", words):
        return Problem(
            f"The Go modules of {what} could not be fetched:\n{last}",
            "see that the machine reaches a Go module mirror, and set GOPROXY to it (`go env GOPROXY` shows it)",
        )
    return Problem(
        f"{what[0].upper()}{what[1:]} could not be built:\n{last}", f"by hand: cd {build.module} && go build"
    )


class _Counted:
    """Turns go's lines, thousands of them, into a count that a person can watch."""

    def __init__(self, prefix: str, progress: Progress) -> None:
        self._prefix = prefix
        self._progress = progress
        self._modules = 0
        self._packages = 0

    def line(self, words: str) -> None:
        if words.startswith("go: downloading go1"):
            self._progress(f"{self._prefix}fetching {words.removeprefix('go: downloading ')}")
        elif words.startswith("go: downloading "):
            self._modules += 1
            if self._modules % SOME_MODULES == 1:
                self._progress(f"{self._prefix}fetching Go modules: {self._modules}")
        elif re.fullmatch(r"[\w./~-]+", words):
            self._packages += 1
            if self._packages % SOME_PACKAGES == 1:
                self._progress(f"{self._prefix}compiling: {self._packages} packages")
        else:
            self._progress(words)
