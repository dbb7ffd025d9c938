"""Running a command inside a container of the stack."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import NamedTuple

from operate.docker.command import Frames
from operate.docker.containers import Container
from setup.daemon import Daemon

SECONDS = 60
PIECE = 65_536
OUT, ERR = 1, 2


class Answer(NamedTuple):
    """What a command came to: its exit code, and what it said on both streams."""

    code: int
    output: bytes
    errors: str


def execute(client: Daemon, container: Container, command: Sequence[str]) -> tuple[int, str]:
    """Run a command and return its exit code and what it said; raise DaemonError where the daemon refuses."""
    told = {"AttachStdout": True, "AttachStderr": True, "Tty": True, "Cmd": list(command)}
    identifier = client.post(f"/containers/{container.identifier}/exec", told)["Id"]
    said = client.post(f"/exec/{identifier}/start", {"Detach": False, "Tty": True}, timeout=SECONDS)
    return int(client.get(f"/exec/{identifier}/json")["ExitCode"]), str(said)


def talk(client: Daemon, identifier: str, command: Sequence[str], given: bytes, seconds: float) -> Answer:
    """Run a command in a container with some input, and return what came of it; raise OSError when it is silent."""
    told = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
    run = client.post(f"/containers/{identifier}/exec", told)["Id"]
    said: dict[int, bytearray] = {OUT: bytearray(), ERR: bytearray()}
    frames = Frames()
    with client.talking(f"/exec/{run}/start", {"Detach": False, "Tty": False}, seconds) as connection:
        connection.settimeout(seconds)
        # Both ways at once: what is long would fill one of them while nobody empties the other.
        sender = threading.Thread(target=send_all, args=(connection, given), daemon=True)
        sender.start()
        while data := connection.recv(PIECE):
            for stream, piece in frames.taken(data):
                said.setdefault(stream, bytearray()).extend(piece)
        sender.join(seconds)
    code = client.get(f"/exec/{run}/json")["ExitCode"]
    return Answer(int(code or 0), bytes(said[OUT]), bytes(said[ERR]).decode(errors="replace").strip())


def send_all(connection: socket.socket, given: bytes) -> None:
    """Send the input and its end; a command that does not want it has its reasons, and tells them."""
    with contextlib.suppress(OSError):
        connection.sendall(given)
        connection.shutdown(socket.SHUT_WR)
