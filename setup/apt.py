"""Installing the distribution's packages, as root or with sudo."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from setup.facts import find
from setup.problem import Problem
from setup.processes import Failed, follow, run
from setup.terminal import Progress

UPDATE_SECONDS = 300
INSTALL_SECONDS = 1200
# An installation that is killed leaves dpkg in need of repair.
GRACE_SECONDS = 120
KEPT = ("http_proxy", "https_proxy", "no_proxy", "TMPDIR")
SETTINGS = ("-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=2", "-o", "Dpkg::Use-Pty=0")


def install(packages: Sequence[str], environment: Mapping[str, str], progress: Progress, log: Path) -> None:
    """Install the packages; raise Problem with apt's words when that fails."""
    quiet = {**environment, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        progress("reading the package lists")
        follow(
            as_root(["apt-get", *SETTINGS, "update", "-q"], environment),
            UPDATE_SECONDS,
            progress,
            environment=quiet,
            log=log,
        )
        progress(f"installing {', '.join(packages)}")
        command = ["apt-get", *SETTINGS, "install", "-y", "-q", "--no-install-recommends", *packages]
        follow(
            as_root(command, environment), INSTALL_SECONDS, progress, environment=quiet, log=log, grace=GRACE_SECONDS
        )
    except Failed as error:
        raise Problem(
            f"apt-get could not install {', '.join(packages)}:\n{last_words(error.words)}",
            f"see {log}; once `apt-get install {' '.join(packages)}` works, run this again",
        ) from error


def known(package: str) -> bool:
    """Return whether apt has a version of the package to install."""
    try:
        words = run(["apt-cache", "policy", package], timeout=60)
    except (Failed, OSError):
        return False
    return any(line.strip().startswith("Candidate:") and "(none)" not in line for line in words.splitlines())


def as_root(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the command as root runs it; sudo asks for a password only where somebody can type one."""
    if os.geteuid() == 0:
        return list(command)
    sudo = find("sudo", environment) or "sudo"
    ask = [] if sys.stdin.isatty() else ["-n"]
    kept = [
        f"{name}={environment[name]}" for name in ("http_proxy", "https_proxy", "no_proxy") if environment.get(name)
    ]
    return [sudo, *ask, "env", "DEBIAN_FRONTEND=noninteractive", *kept, *command]


def get_permission(environment: Mapping[str, str]) -> None:
    """Have sudo ask for its password now, before a step that hides its output; raise Problem when it refuses."""
    if os.geteuid() == 0:
        return
    import subprocess

    sudo = find("sudo", environment) or "sudo"
    ask = [] if sys.stdin.isatty() else ["-n"]
    if subprocess.run([sudo, *ask, "-v"], timeout=120, check=False).returncode != 0:
        raise Problem(
            "sudo refused, so nothing can be installed or started.", "run this as root, or as a user who may use sudo"
        )


def last_words(words: str, lines: int = 6) -> str:
    """Return the end of what a program said, for a message."""
    return "\n".join(words.strip().splitlines()[-lines:])
