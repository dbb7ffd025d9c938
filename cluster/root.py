"""What takes root is done by a process of its own, where whoever asks for a cluster is another user."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from cluster.layout import Layout
from cluster.obstacles import root_problem
from cluster.shape import NETWORK_VARIABLE
from setup import apt, processes
from setup.facts import find
from setup.places import Places
from setup.problem import Problem


def is_root() -> bool:
    """Return whether this process may do everything."""
    return os.geteuid() == 0


def hand_over(verb: str, layout: Layout, places: Places, environment: Mapping[str, str], *arguments: str) -> None:
    """Run a verb of `python -m cluster` by sudo on this terminal; raise Problem where that fails."""
    problem = root_problem(os.geteuid(), sudo=bool(find("sudo", environment)))
    if problem:
        raise problem
    command = apt.as_root(command_of(verb, layout, places, environment, *arguments), environment)
    code = processes.hand_over(command, environment=environment, folder=layout.repository)
    if code != 0:
        raise Problem(f"`sudo … python -m cluster {verb}` ended with exit code {code}.", "mend what it says above")


def command_of(verb: str, layout: Layout, places: Places, environment: Mapping[str, str], *arguments: str) -> list[str]:
    """Return the command that does a verb in the places of whoever asks, whoever runs it."""
    settings = {
        "SCAFFOLD_CACHE_DIR": str(places.cache),
        "SCAFFOLD_STATE_DIR": str(places.state),
        "SCAFFOLD_VENV": str(places.venv),
        "PATH": environment.get("PATH", os.defpath),
        **({NETWORK_VARIABLE: environment[NETWORK_VARIABLE]} if environment.get(NETWORK_VARIABLE) else {}),
    }
    given = [f"{name}={value}" for name, value in settings.items()]
    return ["env", *given, sys.executable, "-m", "cluster", verb, layout.shape.name, *arguments]


def give_to_owner(file: Path, folder: Path) -> None:
    """Give a file to the owner of a folder, who started this by sudo."""
    owner = folder.stat()
    with contextlib.suppress(OSError):
        os.chown(file, owner.st_uid, owner.st_gid)
