"""What keeps a cluster from coming up on this machine, said before anything is changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from cluster import groups, network
from cluster.layout import Layout
from cluster.shape import NETWORK_VARIABLE, Shape
from setup.facts import find
from setup.files import read_text_or_none
from setup.ports import Listener, collide, listeners_on
from setup.problem import Problem

LEAST_BYTES = 3 * 2**30
LONGEST_SOCKET = 107


def obstacles(layout: Layout) -> list[Problem]:
    """Return everything that is in the way."""
    shape = layout.shape
    found = [
        root_problem(os.geteuid(), sudo=bool(find("sudo", os.environ))),
        owner_problem(
            shape, read_text_or_none(layout.runtime / "owner"), layout.folder,
            running=bool(groups.members(shape.cgroup)),
        ),
        groups_problem(groups.hierarchies()),
        path_problem(layout),
        room_problem(layout.folder, _free(layout.folder)),
        network_problem(shape, network.routes()),
        *(port_problem(port, what, listeners_on(port)) for port, what in (
            (shape.api_port, "the API"), (shape.registry_port, "the image registry"),
        )),
    ]  # fmt: skip
    return [problem for problem in found if problem]


def root_problem(user: int, *, sudo: bool) -> Problem | None:
    """Return that it takes root, and there is no way to it."""
    if user == 0 or sudo:
        return None
    return Problem(
        "A cluster on this machine makes network namespaces, control groups and mounts, which takes root.",
        "run it as root: sudo make cluster-up; or use another cluster (KUBECONFIG, or the setting kubeconfig)",
    )


def python_problem(python: Path) -> Problem | None:
    """Return that the keeper of the network policies would not start."""
    libraries = python.parent.parent / "lib"
    if python.exists() and any(libraries.glob("python*/site-packages/yaml")):
        return None
    return Problem(
        f"The virtual environment of {python} lacks what the cluster's keeper imports.", "make it: make cluster-up"
    )


def owner_problem(shape: Shape, owner: str | None, folder: Path, *, running: bool) -> Problem | None:
    """Return who has a cluster of this name running from another folder."""
    if owner is None or owner == str(folder) or not running:
        return None
    return Problem(
        f"A cluster {shape.name} runs on this machine already, with its data in {owner}, not in {folder}.",
        "use that one, or stop it where it was started: make cluster-down",
    )


def groups_problem(hierarchies: Sequence[Path]) -> Problem | None:
    """Return that the kernel's control groups cannot be used here."""
    writable = [each for each in hierarchies if os.access(each, os.W_OK)]
    if hierarchies and len(writable) == len(hierarchies):
        return None
    return Problem(
        f"Control groups cannot be made here ({groups.MOUNT} is {'read-only' if hierarchies else 'not mounted'}).",
        "run this on the machine itself rather than in a container, or in one with its own cgroup namespace "
        "(docker run --privileged --cgroupns=private)",
    )


def path_problem(layout: Layout) -> Problem | None:
    """Return that the folder's path is too long for the sockets in it."""
    longest = str(layout.kubelet / "pod-resources" / "kubelet.sock")
    if len(longest.encode()) <= LONGEST_SOCKET:
        return None
    return Problem(
        f"The path {longest} is longer than a socket's may be ({LONGEST_SOCKET} bytes).",
        "set SCAFFOLD_STATE_DIR (or XDG_STATE_HOME) to a folder with a shorter path",
    )


def room_problem(folder: Path, free: int) -> Problem | None:
    """Return that there is too little room for images and data."""
    if free >= LEAST_BYTES:
        return None
    return Problem(
        f"A cluster takes some {LEAST_BYTES / 2**30:.0f} GB for images and data; {folder} has {free / 2**30:.1f} GB.",
        "free some room, or set SCAFFOLD_STATE_DIR to a folder on a larger disk",
    )


def network_problem(shape: Shape, routes: Sequence[tuple[str, str]]) -> Problem | None:
    """Return which of this machine's networks has addresses that the cluster would take."""
    for destination, interface in routes:
        if destination == "default" or interface == shape.node:
            continue
        if IPv4Network(destination, strict=False).overlaps(shape.network):
            return Problem(
                f"The cluster's network {shape.network} overlaps with {destination}, which is reached by {interface}.",
                f"give it another: {NETWORK_VARIABLE}=10.90.0.0/16 make cluster-up",
            )
    return None


def port_problem(port: int, what: str, listeners: Sequence[Listener]) -> Problem | None:
    """Return who listens where this machine is to reach a part of the cluster."""
    taken = [str(listener) for listener in listeners if collide(listener.address, "127.0.0.1")]
    if not taken:
        return None
    return Problem(
        f"Port {port} on 127.0.0.1, where {what} is to be, is taken by {', '.join(dict.fromkeys(taken))}.", "stop that"
    )


def _free(folder: Path) -> int:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free
