"""Builds the cluster's programs from their Go modules, once for each version."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from offline.install import build_environment
from setup.files import digest_of_files, read_text_or_none, write_atomically
from setup.problem import Problem
from setup.processes import Failed, follow, run
from setup.terminal import Progress

SOURCES = Path(__file__).resolve().parent / "sources"
BUILD_SECONDS = 3600.0
ROOM = "6 GB"  # modules, build cache, the linker's work, the programs
LEAST_BYTES = 2**30  # with everything cached already: the linker's work and the programs
KUBERNETES = "k8s.io/kubernetes/cmd"


@dataclass(frozen=True)
class Module:
    """A Go module of this folder, and the programs that are built from it: each from one package."""

    name: str
    programs: Mapping[str, str]
    version_of: str = ""
    version_variables: Sequence[str] = ()

    @property
    def folder(self) -> Path:
        """Where its go.mod is."""
        return SOURCES / self.name


MODULES = (
    Module("node", {name: f"./{name}" for name in ("pause", "volume", "announce")}),
    Module(
        "kubernetes",
        {
            "kube-apiserver": f"{KUBERNETES}/kube-apiserver",
            "kube-controller-manager": f"{KUBERNETES}/kube-controller-manager",
            "kube-scheduler": f"{KUBERNETES}/kube-scheduler",
            "kubelet": f"{KUBERNETES}/kubelet",
            "kube-proxy": f"{KUBERNETES}/kube-proxy",
            "kubectl": f"{KUBERNETES}/kubectl",
            # These two share most of what they are made of with the others, but not all: they are built by themselves.
            "etcd": "go.etcd.io/etcd/server/v3",
            "local-path-provisioner": "github.com/rancher/local-path-provisioner",
        },
        "k8s.io/kubernetes",
        ("k8s.io/component-base/version.gitVersion", "k8s.io/client-go/pkg/version.gitVersion"),
    ),
    Module("coredns", {"coredns": "."}),
)


def digest(module: Module) -> str:
    """Return what tells one build of a module from another: its files, and the kind of machine."""
    files = [path for path in module.folder.rglob("*") if path.is_file()]
    made = hashlib.sha256(f"{platform.machine()} {sorted(module.programs.items())}".encode())
    made.update(digest_of_files(files, module.folder).encode())
    return made.hexdigest()


def version(name: str) -> str:
    """Return a short name for this version of a module's programs."""
    return next(digest(module)[:12] for module in MODULES if module.name == name)


def missing(folder: Path) -> list[Module]:
    """Return the modules whose programs are not in the folder in this version."""
    return [
        module
        for module in MODULES
        if read_text_or_none(folder / f"{module.name}.source") != digest(module)
        or not all(os.access(folder / program, os.X_OK) for program in module.programs)
    ]


def provide(module: Module, folder: Path, environment: Mapping[str, str], progress: Progress) -> None:
    """Build the module's programs into the folder; raise Problem where there is no Go, no network or no room.

    Kubernetes takes 5 to 10 minutes on two cores with nothing cached.
    """
    go = go_for(module, environment)
    folder.mkdir(parents=True, exist_ok=True)
    _check_room(folder)
    stamp = folder / f"{module.name}.source"
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as made:
        counted = _Counted(module.name, progress)
        surroundings = build_environment(environment)
        try:
            for packages in together(module):
                target = Path(made) / next(iter(packages)) if len(packages) == 1 else Path(made)
                follow(
                    command(module, go, target, list(packages.values())), BUILD_SECONDS, counted.line,
                    environment=surroundings, folder=module.folder,
                )  # fmt: skip
        except Failed as error:
            raise explained(error, module) from error
        for program in module.programs:
            (Path(made) / program).replace(folder / program)
    write_atomically(stamp, digest(module).encode())


def together(module: Module) -> list[dict[str, str]]:
    """Return the programs in groups that one command builds: those of one folder that are named as their packages are.

    The others are by themselves: what they import may not go together with what these do.
    """
    found: dict[str, dict[str, str]] = {}
    for name, package in module.programs.items():
        folder, _, last = package.rpartition("/")
        found.setdefault(folder if last == name else name, {})[name] = package
    return list(found.values())


def command(module: Module, go: str, target: Path, packages: Sequence[str]) -> list[str]:
    """Return the build's command line."""
    version = version_of(module)
    stamped = [f"-X {variable}={version}" for variable in module.version_variables]
    flags = " ".join(["-s", "-w", *stamped])
    return [go, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags", flags, "-o", str(target), *packages]


def version_of(module: Module) -> str:
    """Return the version that the module's go.mod requires of what it builds; empty for this project's own programs."""
    if not module.version_of:
        return ""
    text = (module.folder / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^\s*(?:require )?{re.escape(module.version_of)} (v\S+)", text, re.M)
    if found is None:
        raise Problem(
            f"{module.folder / 'go.mod'} does not require {module.version_of}.", "restore the file: git checkout it"
        )
    return found[1]


def go_for(module: Module, environment: Mapping[str, str]) -> str:
    """Return the Go on PATH; raise Problem where there is none, or one too old to fetch a newer one by itself."""
    program = shutil.which("go", path=environment.get("PATH"))
    if program is None:
        raise Problem("There is no Go to build the cluster's programs with.", "install one: apt-get install golang-go")
    said = run([program, "env", "GOVERSION"], timeout=60, environment={**environment, "GOTOOLCHAIN": "local"}).strip()
    if tuple(int(number) for number in re.findall(r"\d+", said)[:2]) < (1, 21):
        raise Problem(
            f"{program} is {said}; the programs of {module.name} take a newer one, which Go 1.21 fetches by itself.",
            "install a newer Go: apt-get install golang-1.21-go or later",
        )
    return program


def explained(error: Failed, module: Module) -> Problem:
    """Return what a failed build means, with what to do."""
    words = error.words
    last = "\n".join(words.splitlines()[-6:])
    what = f"The cluster's programs of {module.name}"
    if error.code is None:
        return Problem(
            f"{what} were not built within {BUILD_SECONDS / 60:.0f} minutes.", "run it again: what was built is kept"
        )
    if "no space left on device" in words:
        return Problem(
            f"The disk became full while {module.name} was built:\n{last}",
            f"free {ROOM}, or set GOCACHE and GOMODCACHE to folders on a larger disk",
        )
    if "checksum mismatch" in words or "SECURITY ERROR" in words:
        return Problem(
            f"The module mirror delivered something else than cluster/sources/{module.name}/go.sum says:\n{last}",
            "do not go on; set GOPROXY to a mirror you trust, and run `go clean -modcache`",
        )
    if re.search(r"dial tcp|no such host|i/o timeout|connection re|proxyconnect|TLS|x509|: 40[34] |: 5\d\d ", words):
        return Problem(
            f"The Go modules of {module.name} could not be fetched:\n{last}",
            "see that the machine reaches a Go module mirror, and set GOPROXY to it (`go env GOPROXY` shows it)",
        )
    return Problem(f"{what} could not be built:\n{last}", f"run it by hand: cd {module.folder} && go build")


class _Counted:
    """Turns go's lines, thousands of them, into a count that a person can watch."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name = name
        self._progress = progress
        self._modules = 0
        self._packages = 0

    def line(self, words: str) -> None:
        if words.startswith("go: downloading "):
            self._modules += 1
            if self._modules % 25 == 1:
                self._progress(f"{self._name}: fetching Go modules: {self._modules}")
        elif re.fullmatch(r"[\w./~-]+", words):
            self._packages += 1
            if self._packages % 50 == 1:
                self._progress(f"{self._name}: compiling: {self._packages} packages")
        else:
            self._progress(words)


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < LEAST_BYTES:
        raise Problem(
            f"Building the cluster's programs takes up to {ROOM}; {folder} has {free / 2**30:.1f} GB left.",
            "free some room, or set SCAFFOLD_CACHE_DIR to a folder on a larger disk",
        )
