"""Folders of the machine in place of volumes: looked at before anything starts, since Docker would make them root's."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pulumi

from infra.model import System, Volume
from infra.platforms.docker import daemon

MODE = 0o750


def sources(system: System) -> dict[str, str]:
    """Return the folders by the names of the volumes that they stand for."""
    return {volume.name: volume.folder for volume in system.volumes if volume.folder}


def check(host: str, system: System) -> None:
    """Raise RunError for folders that their service could not use, with the command that mends each.

    Those of another machine cannot be looked at from here: there the service itself says what is wrong.
    """
    if not daemon.is_here(host):
        return
    problems = [problem for volume in system.volumes if volume.folder for problem in wrong(system, volume)]
    if problems:
        raise pulumi.RunError("\n".join(problems))


def wrong(system: System, volume: Volume) -> Iterator[str]:
    """Yield what is wrong with a folder: it is there, a folder, of the one who writes to it, and no stranger does."""
    user, group = next(
        (each.workload.user, each.workload.group)
        for each in system.declared
        if any(mount.volume == volume.name and not mount.read_only for mount in each.workload.mounts)
    )
    mend = f"sudo install -d -o {user} -g {group} -m {MODE:04o} {volume.folder}"
    try:
        found = Path(volume.folder).lstat()
    except OSError as error:
        yield f"{volume.folder}: {error.strerror}; wanted a folder for {volume.name}. Make it: {mend}"
        return
    if not stat.S_ISDIR(found.st_mode):
        yield f"{volume.folder}: no folder, wanted one for {volume.name}. Name another, or make it one: {mend}"
        return
    if found.st_uid != user or found.st_mode & 0o700 != 0o700 or found.st_mode & stat.S_IWOTH:
        yield (
            f"{volume.folder}: belongs to user {found.st_uid} with mode {stat.S_IMODE(found.st_mode):04o}, wanted user "
            f"{user}, who may do everything there, and nobody else who may write. Mend it: {mend}"
        )
