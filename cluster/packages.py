"""The distribution's programs, unpacked into the cache: nothing is installed, so none of their services starts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.layout import Layout
from setup import apt
from setup.facts import find
from setup.files import read_text_or_none, write_atomically
from setup.problem import Problem
from setup.processes import Failed, follow, run
from setup.terminal import Progress

PACKAGES = ("containerd", "runc", "containernetworking-plugins", "docker-registry")
WANTED = ("usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr", "usr/sbin/runc",
          "usr/lib/cni/ptp", "usr/lib/cni/host-local", "usr/lib/cni/portmap", "usr/lib/cni/loopback",
          "usr/bin/docker-registry")  # fmt: skip
PLUGINS = ("ptp", "host-local", "portmap", "loopback")
# Programs of the machine itself, with the packages that bring them.
TOOLS = {
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "openssl": "openssl",
}
DOWNLOAD_SECONDS = 600
UNPACK_SECONDS = 120


def ready(folder: Path) -> bool:
    """Return whether the programs of this release of the distribution are there."""
    return read_text_or_none(folder / "unpacked") == stamp()


def stamp() -> str:
    """Return what tells one set of packages from another."""
    text = read_text_or_none(Path("/etc/os-release")) or ""
    release = [line for line in text.splitlines() if line.startswith(("ID=", "VERSION_ID=", "VERSION_CODENAME="))]
    return "\n".join([*PACKAGES, *sorted(release)])


def missing_tools(environment: Mapping[str, str]) -> list[str]:
    """Return the packages that bring what this machine lacks."""
    return sorted({package for program, package in TOOLS.items() if not find(program, environment)})


def provide(folder: Path, environment: Mapping[str, str], progress: Progress, log: Path) -> None:
    """Fetch and unpack the packages; raise Problem with apt's words when that fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".packages-") as made:
        archives = download(PACKAGES, Path(made), environment, progress, log)
        unpacked = Path(made) / "root"
        for archive in archives:
            progress(f"unpacking {archive.name}")
            run(["dpkg-deb", "--extract", str(archive), str(unpacked)], UNPACK_SECONDS)
        absent = [name for name in WANTED if not os.access(unpacked / name, os.X_OK)]
        if absent:
            raise Problem(
                f"The distribution's packages lack {', '.join(absent)}.",
                f"see which of {', '.join(PACKAGES)} are another release's (apt-cache policy), and run this again",
            )
        write_atomically(unpacked / "unpacked", stamp().encode())
        shutil.rmtree(folder, ignore_errors=True)
        unpacked.replace(folder)


def download(
    packages: Sequence[str], folder: Path, environment: Mapping[str, str], progress: Progress, log: Path
) -> list[Path]:
    """Return the packages' archives; apt's lists are read anew only where it does not get on without."""
    command = ["apt-get", *apt.SETTINGS, "download", "-q", *packages]
    for update in (False, True):
        try:
            if update:
                progress("reading the package lists")
                follow(["apt-get", *apt.SETTINGS, "update", "-q"], apt.UPDATE_SECONDS, progress, log=log)
            progress(f"fetching {', '.join(packages)}")
            follow(command, DOWNLOAD_SECONDS, progress, environment=dict(environment), folder=folder, log=log)
            return sorted(folder.glob("*.deb"))
        except Failed as error:
            if update:
                raise Problem(
                    f"apt-get could not fetch {', '.join(packages)}:\n{apt.last_words(error.words)}",
                    f"see {log}; once `apt-get download {' '.join(packages)}` works, run this again",
                ) from error
    return []


def join_plugins(layout: Layout) -> None:
    """Put the network plug-ins, the distribution's and this project's own, where the runtime looks for them."""
    layout.plugins.mkdir(parents=True, exist_ok=True)
    wanted = {name: layout.packages / "usr/lib/cni" / name for name in PLUGINS} | {"announce": layout.built("announce")}
    for name, program in wanted.items():
        link = layout.plugins / name
        if not link.is_symlink() or link.readlink() != program:
            link.unlink(missing_ok=True)
            link.symlink_to(program)
