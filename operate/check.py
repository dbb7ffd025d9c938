"""`make check`: formatting, lint, types and spelling, with the tools that the tests pin."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace

from operate import test
from operate.request import REPOSITORY, Request
from setup.prepare import provide_packages

CHECK_SECONDS = 600


def run(request: Request) -> int:
    """Run every check, also after one has failed, and return whether all passed."""
    own = replace(request, places=test.own_places(request))
    python = str(own.places.python)
    install(own)
    failed = []
    for name, arguments in commands().items():
        started = time.monotonic()
        done = subprocess.run(
            [python, "-m", *arguments],
            cwd=REPOSITORY,
            timeout=CHECK_SECONDS,
            check=False,
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - started
        if done.returncode == 0:
            request.terminal.done(name, "clean", seconds)
        else:
            failed.append(name)
            request.terminal.say(f"{done.stdout}{done.stderr}".rstrip())
            request.terminal.say(f"{name} found the above.")
    return 1 if failed else 0


def commands() -> dict[str, list[str]]:
    """Return the checks by name, each as a Python module and its arguments."""
    return {
        "format": ["ruff", "format", "--check", "--quiet", "."],
        "lint": ["ruff", "check", "--quiet", "."],
        "types": ["mypy", "."],
        "spelling": ["codespell_lib", "--skip", ".git,.venv,*.lock,*.sum,*.svg", "."],
    }


def install(request: Request) -> None:
    """Install the pinned tools where they are missing; Docker and Pulumi are not needed here."""
    provide_packages(request.places, request.environment, test.REQUIREMENTS, request.terminal)
