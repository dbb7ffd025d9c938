"""Builds the cluster's programs from their Go modules, once for each version."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup import gobuild
from setup.files import digest_of_files, read_text_or_none, write_atomically
from setup.gobuild import Build
from setup.problem import Problem
from setup.terminal import Progress

SOURCES = Path(__file__).resolve().parent / "sources"
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

    @property
    def build(self) -> Build:
        """How its programs are built."""
        return Build(f"the cluster's programs of {self.name}", self.folder, ROOM, LEAST_BYTES)


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
    go = gobuild.find_go(module.build, environment)
    folder.mkdir(parents=True, exist_ok=True)
    gobuild.check_room(module.build, folder)
    stamp = folder / f"{module.name}.source"
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as made:
        for packages in together(module):
            target = Path(made) / next(iter(packages)) if len(packages) == 1 else Path(made)
            line = command(module, go, target, list(packages.values()))
            gobuild.perform(module.build, line, environment, progress, module.name)
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
