"""Running a command inside a container of the stack."""

from __future__ import annotations

from collections.abc import Sequence

from operate.docker.containers import Container
from setup.daemon import Daemon

SECONDS = 60


def execute(client: Daemon, container: Container, command: Sequence[str]) -> tuple[int, str]:
    """Run a command and return its exit code and what it said; raise DaemonError where the daemon refuses."""
    told = {"AttachStdout": True, "AttachStderr": True, "Tty": True, "Cmd": list(command)}
    identifier = client.post(f"/containers/{container.identifier}/exec", told)["Id"]
    said = client.post(f"/exec/{identifier}/start", {"Detach": False, "Tty": True}, timeout=SECONDS)
    return int(client.get(f"/exec/{identifier}/json")["ExitCode"]), str(said)
