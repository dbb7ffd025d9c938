"""A gate before the real daemon, containers of a throwaway stack, and a relay between the two that a test can cut."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.conftest import LABEL, ROOT, Docker, is_of_a_dead_run, started_at, until

BASE = "debian:trixie-slim"
DAEMON = "/var/run/docker.sock"
PROJECT = "scaffold-test"
PREFIX = "gate-"
# A gate ends with the thread of the test that started it, whatever way that ends.
LEASH = ("setpriv", "--pdeathsig", "KILL", "--")
STOPS_AT_ONCE = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
IGNORES = ("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
MAY_REACH_THE_DAEMON = re.compile(
    r"GET /_ping|GET /containers/json\?all=1|GET /containers/[0-9a-f]{64}/json"
    r"|POST /containers/[0-9a-f]{64}/stop\?t=\d+|POST /containers/[0-9a-f]{64}/start"
    r"|GET /containers/[0-9a-f]{64}/logs\?stdout=1&stderr=1&tail=\d+&since=[\d.]+"
)


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket's address."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if is_of_a_dead_run(left.name.removeprefix(PREFIX)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{started_at(os.getpid())}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def as_user(user: int, group: int) -> Iterator[None]:
    """Be somebody else for the kernel, as which a socket is opened."""
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class Relay:
    """Passes connections on to the daemon, and keeps what they asked; it can be away, as a daemon is that restarts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        self._open: set[socket.socket] = set()
        self.come()

    def come(self) -> None:
        """Listen."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def go(self) -> None:
        """Be away: the socket is gone, and what was connected is cut."""
        self.path.unlink()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(connection,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        self._open.add(near)
        with contextlib.suppress(OSError), near, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as far:
            head = near.recv(65536)
            asked = head.partition(b" HTTP/")[0].decode()
            self.asked.append(asked)
            self.before(asked)
            far.connect(DAEMON)
            far.sendall(head)
            while more := far.recv(65536):
                near.sendall(more)
        self._open.discard(near)


class Containers:
    """The containers of a stack that no other test has."""

    def __init__(self, docker: Docker, run_id: str) -> None:
        self.docker = docker
        self.run_id = run_id
        self.stack = f"gate-{uuid.uuid4().hex[:8]}"

    def name(self, name: str) -> str:
        """The name on the machine of what the stack calls so."""
        return f"{PROJECT}-{self.stack}-{name}"

    def make(
        self,
        name: str,
        service: str,
        *command: str,
        release: str = "",
        stack: str = "",
        options: tuple[str, ...] = (),
        starts: bool = True,
    ) -> str:
        """Make a container as the platform labels them, and return its full name; its stack may be another."""
        own = {"scaffold.project": PROJECT, "scaffold.stack": stack or self.stack, "scaffold.service": service}
        labels = {LABEL: self.run_id, **own, **({"scaffold.release": release} if release else {})}
        return self.plain(
            self.name(name),
            *command,
            options=(*(word for key, value in labels.items() for word in ("--label", f"{key}={value}")), *options),
            starts=starts,
        )

    def plain(self, name: str, *command: str, options: tuple[str, ...] = (), starts: bool = True) -> str:
        """Make a container of nobody's, but for the label by which it goes away."""
        verb = ("run", "--detach") if starts else ("create",)
        given = ("--network", "none", "--label", f"{LABEL}={self.run_id}", "--name", name, *options)
        self.docker(*verb, *given, BASE, *(command or STOPS_AT_ONCE))
        return name

    def state(self, name: str) -> str:
        """What the daemon says a container is."""
        return self.docker("inspect", "--format", "{{.State.Status}}", name)

    def remove(self) -> None:
        """Remove all of the stack."""
        found = self.docker("ps", "-aq", "--filter", f"label=scaffold.stack={self.stack}").split()
        if found:
            self.docker("rm", "-fv", *found, check=False)


class Gate:
    """The gate as a process."""

    def __init__(self, folder: Path, stack: str, docker: Path | str = DAEMON, *program: str, **environ: str) -> None:
        self.program = program or ("-m", "restore", "gate")
        self.path = folder / "gate.sock"
        self.log = folder / "gate.log"
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "backup"),
            "PYTHONSAFEPATH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "RESTORE_COORDINATOR_UID": str(os.geteuid()),
            "RESTORE_DOCKER_SOCKET": str(docker),
            "RESTORE_GATE_SOCKET": str(self.path),
            "RESTORE_PROJECT": PROJECT,
            "RESTORE_STACK": stack,
            "RESTORE_STOP_CONTAINERS": "web",
            **environ,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is open."""
        before = self.events("the gate is open")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*LEASH, sys.executable, "-W", "error", *self.program], env=self.environ, stdout=log, stderr=log
            )
        until(lambda: self.events("the gate is open") > before or self._ended(), "an open gate")
        assert not self._ended(), self.log.read_text()

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal and return its status."""
        assert self.process is not None
        self.process.send_signal(how)
        status = self.process.wait(10)
        self.process = None
        return status

    def events(self, text: str) -> int:
        """How many of its log's lines say this."""
        return self.log.read_text().count(text) if self.log.exists() else 0

    def connect(self, seconds: float = 30) -> socket.socket:
        """A connection to it."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(seconds)
        try:
            made.connect(str(self.path))
        except OSError:
            made.close()
            raise
        return made

    def raw(self, sent: bytes) -> tuple[int, dict[str, Any]]:
        """Send bytes and return the status and the body of what comes back."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(sent)
            return answer(connection)

    def ask(self, method: str, target: str) -> tuple[int, dict[str, Any]]:
        """Send a plain request."""
        return self.raw(f"{method} {target} HTTP/1.1\r\nHost: gate\r\nContent-Length: 0\r\n\r\n".encode())


def answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Read what comes back until the connection ends."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            got += more
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), got[:200]
    return int(head.split()[1]), json.loads(body)


@contextlib.contextmanager
def running(gate: Gate) -> Iterator[Gate]:
    """A gate for as long as the block lasts, whatever way it ends."""
    gate.start()
    try:
        yield gate
    finally:
        if gate.process is not None:
            gate.stop(signal.SIGKILL)
