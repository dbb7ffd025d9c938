"""Folders outside the cluster's own that its programs insist on: those that were not there before go with it."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from setup.files import write_atomically

# Each with what the programs make in it; with anything else in it, it has become somebody else's too, and stays.
MADE: Mapping[str, Sequence[str]] = {
    "/run/netns": (),
    "/run/containerd": ("s", "runc", "fifo"),
    "/var/lib/cni": ("results",),
    "/var/lib/kubelet": ("device-plugins",),
    "/var/log/containers": (),
}


def remember(file: Path, made: Mapping[str, Sequence[str]] = MADE) -> None:
    """Keep which of the folders are not there, unless an earlier run has."""
    if not file.exists():
        absent = [place for place in made if not Path(place).exists()]
        write_atomically(file, json.dumps(absent).encode())


def remove(file: Path, made: Mapping[str, Sequence[str]] = MADE) -> None:
    """Remove the folders that were not there before, and forget them."""
    try:
        absent = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for place in absent:
        folder = Path(place)
        if not folder.is_dir() or not {each.name for each in folder.iterdir()} <= set(made.get(place, ())):
            continue
        for name in made[place]:
            shutil.rmtree(folder / name, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
    file.unlink()
