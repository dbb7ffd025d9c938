"""The virtual environment that the program and the plugins run in."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping

from setup.apt import last_words
from setup.facts import stamp_of_packages
from setup.files import write_atomically
from setup.places import Places
from setup.problem import Problem
from setup.processes import Failed, follow, run
from setup.terminal import Progress

INSTALL_SECONDS = 1200
UNREACHABLE = ("Connection", "connection", "Temporary failure", "Name or service not known", "timed out", "ProxyError")


def make(places: Places, requirements: str, digest: str, environment: Mapping[str, str], progress: Progress) -> None:
    """Install the pinned, hashed requirements into the environment; raise Problem with pip's words when that fails.

    pip takes the user's own settings (`PIP_*`, pip.conf, proxies). The stamp is written last, so that an installation
    that was cut off is taken up again.
    """
    stamp = stamp_of_packages(places)
    stamp.unlink(missing_ok=True)
    # An interpreter of another version, or one that is gone, leaves folders behind that nothing would look into.
    if not works(places):
        progress(f"making {places.venv}")
        shutil.rmtree(places.venv, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(places.venv)], timeout=180, environment=environment)
    command = [
        str(places.python), "-m", "pip", "install", "--require-hashes", "--no-input", "--progress-bar", "off",
        "--disable-pip-version-check", "-r", requirements,
    ]  # fmt: skip
    try:
        follow(
            command,
            INSTALL_SECONDS,
            lambda line: progress(wording(line)),
            environment=environment,
            folder=places.repository,
        )
    except Failed as error:
        raise failure(requirements, error.words) from error
    write_atomically(stamp, digest.encode())


def enter(places: Places) -> None:
    """Let this process import what the environment has; its interpreter is of the version that runs this."""
    version = ".".join(map(str, sys.version_info[:2]))
    folder = str(places.venv / "lib" / f"python{version}" / "site-packages")
    if folder not in sys.path:
        # Before the distribution's own packages, which may be older, and after the clone.
        sys.path.insert(1, folder)


def works(places: Places) -> bool:
    """Return whether the environment's interpreter runs and is of the version that runs this."""
    if not places.python.exists():
        return False
    question = "import sys, pip; print(sys.implementation.cache_tag)"
    try:
        return run([str(places.python), "-c", question], timeout=30).strip() == sys.implementation.cache_tag
    except (Failed, OSError):
        return False


def wording(line: str) -> str:
    """Return what a line of pip's means to a person who waits: a name, not an address."""
    words = line.replace("Using cached", "Using").split()
    if words[:1] in (["Collecting"], ["Downloading"], ["Using"]) and len(words) > 1:
        return f"{words[0].lower()} {words[1].rpartition('/')[2]}"
    return "installing" if line.startswith("Installing") else "working"


def failure(requirements: str, words: str) -> Problem:
    """Return the cause and the remedy for what pip said."""
    if "No space left" in words:
        return Problem(
            f"The disk is full: {requirements} could not be installed.", "free some space and run this again"
        )
    if "THESE PACKAGES DO NOT MATCH THE HASHES" in words:
        return Problem(
            f"A package does not have the hash that {requirements} pins:\n{last_words(words)}",
            "do not go on: the package index or a proxy serves something else than what was reviewed",
        )
    if any(sign in words for sign in UNREACHABLE):
        return Problem(
            f"No package index could be reached, and {requirements} is not all in pip's cache:\n{last_words(words)}",
            "connect this machine, or point pip at a mirror (PIP_INDEX_URL, PIP_FIND_LINKS, HTTPS_PROXY, PIP_CERT)",
        )
    return Problem(f"pip could not install {requirements}:\n{last_words(words)}", "mend that and run this again")
