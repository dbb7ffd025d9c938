"""Bringing the Docker daemon up, where it is installed and where it is not."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from setup import apt, daemon
from setup.facts import Docker, find
from setup.places import Places
from setup.plan import forbidden
from setup.problem import Problem
from setup.processes import Failed, run
from setup.terminal import Progress

START_SECONDS = 60
POLL_SECONDS = 0.25
COMMAND_SECONDS = 90
APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


def packages_to_install() -> list[str]:
    """Return Docker's packages; newer releases carry the command line in one of its own."""
    packages = ["docker.io", "iptables", "ca-certificates"]
    if apt.known("docker-cli"):
        packages.append("docker-cli")
    # Where the kernel enforces AppArmor, Docker refuses to start containers without its parser.
    if APPARMOR.exists() and APPARMOR.read_text().strip() == "Y":
        packages.append("apparmor")
    return packages


def bring_up(
    docker: Docker, action: str, manager: str, places: Places, environment: Mapping[str, str], progress: Progress
) -> str:
    """Install and start the daemon as decided and return how; raise Problem when it does not answer in time."""
    apt.get_permission(environment)
    log = places.logs / "docker-install.log"
    if action == "install":
        apt.install(packages_to_install(), environment, progress, log)
        if wait_until_it_answers(docker.endpoint, progress, 5):
            return "installed; its package started it"
        program = find("dockerd", environment)
        if program is None:
            raise Problem("Docker was installed, and there is no `dockerd` on PATH.", f"see {log}")
    else:
        program = docker.program or "dockerd"
    if manager:
        return start_by_manager(docker, manager, environment, progress)
    return start_by_hand(docker, program, places, environment, progress)


def start_by_manager(docker: Docker, manager: str, environment: Mapping[str, str], progress: Progress) -> str:
    """Start the daemon with systemd or its System V script."""
    command = ["systemctl", "start", "docker"] if manager == "systemd" else ["service", "docker", "start"]
    words = ""
    try:
        run(apt.as_root(command, environment), COMMAND_SECONDS)
    except Failed as error:
        words = error.words
    if not wait_until_it_answers(docker.endpoint, progress, START_SECONDS):
        look = "journalctl -u docker -n 50" if manager == "systemd" else "tail -n 50 /var/log/docker.log"
        raise Problem(
            f"`{' '.join(command)}` did not bring the Docker daemon up. {words}".rstrip(), f"see why with: {look}"
        )
    return f"started with {command[0]}"


def start_by_hand(
    docker: Docker, program: str, places: Places, environment: Mapping[str, str], progress: Progress
) -> str:
    """Start the daemon as a process of its own, which outlives this one, and keep its log."""
    log = places.logs / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    process = launch(program, log, environment)
    if not wait_until_it_answers(docker.endpoint, progress, START_SECONDS, process):
        ending = "ended" if process.poll() is not None else f"did not answer within {START_SECONDS} s"
        words = apt.last_words(log.read_text(errors="replace"))
        raise Problem(
            f"`{program}`, started by hand, {ending}:\n{words}", f"mend that (its log is {log}) and run this again"
        )
    return f"started by hand; its log is {log}"


def launch(program: str, log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a daemon in a session of its own, so that neither Ctrl-C nor the end of this terminal reaches it.

    With sudo the new session begins behind it, because sudo's leave belongs to this one; what is returned is sudo then.
    """
    root = os.geteuid() == 0
    command = [program] if root else apt.as_root(["setsid", "--fork", "--wait", program], environment)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=root,
            cwd="/",
            env=dict(environment),
        )


def wait_until_it_answers(
    endpoint: daemon.Endpoint, progress: Progress, seconds: float, process: subprocess.Popen[bytes] | None = None
) -> bool:
    """Wait for the daemon and return whether it answers; raise Problem when it does but not to this user."""
    progress("waiting for the daemon to answer")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = daemon.connectable(endpoint)
        if state == "running":
            return True
        if state == "forbidden":
            raise forbidden(Docker(endpoint, state, local=True, program=None))
        if process is not None and process.poll() is not None:
            return False
        time.sleep(POLL_SECONDS)
    return False
