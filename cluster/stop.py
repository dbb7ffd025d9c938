"""Takes a cluster down: ends what it runs, and leaves the machine as it was before. Its data stays unless told."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from cluster import groups, kernel, mounts, network, process, root, traces
from cluster.layout import RUNTIME, Layout, layout_of
from cluster.obstacles import owner_problem
from cluster.shape import Shape
from cluster.start import KERNEL, TRACES, alone
from setup.files import read_text_or_none
from setup.places import Places
from setup.problem import Problem
from setup.terminal import Terminal

# PostgreSQL and the like write down what they have; what takes longer is ended.
PODS_SECONDS = 20.0
PROGRAMS_SECONDS = 5.0
KILLED_SECONDS = 15.0
POLL_SECONDS = 0.05
# Who would start again what is being ended goes first; who is asked by the others goes last.
ORDER = (
    "kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy", "local-path-provisioner", "keeper",
    "docker-registry", "containerd", "kube-apiserver", "etcd",
)  # fmt: skip


def stop(
    shape: Shape,
    places: Places,
    environment: Mapping[str, str],
    terminal: Terminal,
    *,
    delete_data: bool = False,
) -> bool:
    """End the cluster and take away what it made on this machine; return whether there was anything to end.

    Only processes that are recorded, or in the cluster's own control groups, are ended. Raise Problem for what stays.
    """
    layout = layout_of(shape, places)
    there = layout.runtime.exists() or bool(groups.members(shape.cgroup)) or (delete_data and layout.folder.exists())
    if not there:
        return False
    if not root.is_root():
        root.hand_over("down", layout, places, environment, *(["delete-data"] if delete_data else []))
        return True
    owner = read_text_or_none(layout.runtime / "owner")
    problem = owner_problem(shape, owner, layout.folder, running=bool(groups.members(shape.cgroup)))
    if problem:
        raise problem
    with alone(layout, "stopping", terminal):
        if layout.runtime.exists() or groups.members(shape.cgroup):
            with terminal.step("processes", "ending the pods, then the programs") as step:
                step.outcome = _end(layout)
            with terminal.step("machine", "taking away mounts, network, rules and control groups") as step:
                _clear(layout)
                step.outcome = "mounts, network, rules and control groups taken away"
        if delete_data and layout.folder.exists():
            with terminal.step("data", f"deleting {layout.folder}") as step:
                shutil.rmtree(layout.folder)
                step.outcome = f"{layout.folder} deleted"
    return True


def _end(layout: Layout) -> str:
    name = layout.shape.cgroup
    own = groups.programs(name)
    count = len(groups.members(name))
    for program in ORDER[:1]:
        _end_program(layout, program)
    pods = groups.members(name) - own
    for pid in pods:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PODS_SECONDS
    while groups.members(name) - groups.programs(name) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    late = len(groups.members(name) - groups.programs(name))
    for program in ORDER[1:]:
        _end_program(layout, program)
    if not groups.end(name, KILLED_SECONDS):
        raise Problem(
            f"Processes of the cluster {layout.shape.name} do not end: {sorted(groups.members(name))}.",
            "see what holds them (cat /proc/PID/stack), and run this again",
        )
    return f"{count} processes ended" + (f", {late} of them killed after {PODS_SECONDS:.0f} s" if late else "")


def _end_program(layout: Layout, name: str) -> None:
    record = process.record_of(layout.records, name)
    if record:
        process.end(record, PROGRAMS_SECONDS)


def _clear(layout: Layout) -> None:
    shape = layout.shape
    sockets = shim_sockets(layout.runtime / "containerd")
    left = mounts.release([layout.runtime, layout.folder])
    if left:
        raise Problem(
            f"These could not be unmounted: {', '.join(left)}.", "see who uses them (fuser -vm), and run this again"
        )
    network.remove(shape)
    groups.remove(shape.cgroup)
    for socket in sockets:
        socket.unlink(missing_ok=True)
    _unlink_log_links(layout)
    shutil.rmtree(layout.runtime)
    if not _others(layout):
        kernel.restore(KERNEL)
        traces.remove(TRACES)
        shutil.rmtree(KERNEL.parent, ignore_errors=True)


def shim_sockets(state: Path) -> list[Path]:
    """Return the sockets of the containers' keepers, which lie in a folder that other runtimes use too."""
    found = []
    for file in state.glob("io.containerd.runtime.v2.task/*/*/address"):
        scheme, _, path = (read_text_or_none(file) or "").strip().partition("://")
        if scheme == "unix" and path.startswith("/run/containerd/s/"):
            found.append(Path(path))
    return found


def _unlink_log_links(layout: Layout, folder: Path = Path("/var/log/containers")) -> None:
    """Remove the links that the node's agent makes for collectors of logs."""
    if not folder.is_dir():
        return
    for link in folder.iterdir():
        if link.is_symlink() and link.readlink().is_relative_to(layout.folder):
            link.unlink()


def _others(layout: Layout) -> bool:
    """Return whether another cluster of this project runs on this machine."""
    return any(
        folder != layout.runtime and (folder / "owner").exists() and groups.members(folder.name)
        for folder in RUNTIME.glob("*-cluster")
    )
