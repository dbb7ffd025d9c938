"""The cluster's processes: started apart from whoever starts them, and known again by number and start time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from setup.files import write_atomically

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """A process that is to run: its command and environment, and what else it depends on (`inputs`, a digest).

    One that is `inside` runs in the node's network.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: str = ""
    inside: bool = True


@dataclass(frozen=True)
class Record:
    """A process that was started: its number, when (in the kernel's ticks since boot), and what it was started from."""

    pid: int
    started: str
    made_from: str

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return started_at(self.pid) == self.started


def start(process: Process, folder: Path, log: Path, made_from: str, namespace: Path, groups: Sequence[Path]) -> None:
    """Start a process in a session of its own, in these control groups, and keep a record of it in `folder`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    joins = " && ".join(["cd /", *(f'echo $$ > "{group}/cgroup.procs"' for group in groups)])
    # The shell puts itself where it belongs and becomes the program: nothing of it ever runs anywhere else.
    entering = ["nsenter", f"--net={namespace}", "--"] if process.inside else []
    command = ["/bin/sh", "-c", f'{joins} && exec "$@"', "sh", *entering, *process.command]
    surroundings = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/", **process.environment}
    written = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        command,
        surroundings,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), written, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    )
    record = {"pid": pid, "started": started_at(pid), "madeFrom": made_from}
    write_atomically(folder / f"{process.name}.json", json.dumps(record).encode())


def record_of(folder: Path, name: str) -> Record | None:
    """Return the record of a process, or None where there is none."""
    try:
        found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return Record(int(found["pid"]), str(found["started"]), str(found["madeFrom"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def alive(folder: Path, name: str) -> bool:
    """Return whether the process of that name runs."""
    record = record_of(folder, name)
    return record is not None and record.alive


def started_at(pid: int) -> str:
    """Return when a process started, in the kernel's ticks since boot; empty when it is gone or has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def end(record: Record, grace: float) -> None:
    """End a recorded process: SIGTERM, and SIGKILL after the grace period in seconds."""
    for wanted, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        if not record.alive:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, wanted)
        deadline = time.monotonic() + seconds
        while record.alive and time.monotonic() < deadline:
            _collect(record.pid)
            time.sleep(POLL_SECONDS)


def _collect(pid: int) -> None:
    # Where this very run started it, it stays as a zombie until it has been waited for.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
