"""The process from which an engine's plugins are forked: it has loaded what they load, and ends with the engine.

It listens on a socket without a file, named by the engine's number; `offline/start.py` asks there. Whoever asks must be
of the same user, and want the same code on the same interpreter. A plugin is forked into the process group of who asks
for it, where the engine's signals reach it, with its descriptors, arguments, folder and environment.
"""

from __future__ import annotations

import importlib
import marshal
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from offline.launch import run
from offline.plugin import owner

ASKING_SECONDS = 5.0
STANDARD = 3
"""How many descriptors a plugin is given: its standard input, output and error output."""
LENGTH_BYTES = 4
CREDENTIALS_BYTES = 12
PIECE_BYTES = 65536
TAKEN = b"+"
FAILED = 1
SHARED = ("pulumi.runtime.proto.provider_pb2_grpc", "offline.plugin.errors", "offline.plugin.log")
"""What most plugins load, and this process before it is asked."""


class StandIn:
    """The process that the engine has started and knows as the plugin, at the other end of a line."""

    def __init__(self, line: socket.socket, engine: int) -> None:
        self._line = line
        self._engine = engine

    def begin(self) -> None:
        """Say that the plugin is there from now on; raise OSError where nobody wants it any more."""
        self._line.settimeout(None)
        self._line.sendall(TAKEN)
        owner.belong_to(self)

    def wait(self) -> None:
        """Return when it has ended, or was asked to end, or the engine has ended."""
        select.select([self._line.fileno(), self._engine], [], [])

    def leave(self, code: int) -> NoReturn:
        """End the plugin, and the stand-in with the same code."""
        sys.stdout.flush()
        sys.stderr.flush()
        with suppress(OSError):
            self._line.sendall(bytes([code]))
        os._exit(code)


def leave_behind(engine: int, root: str) -> None:
    """Fork this process' nursery, unless the engine has one or this is no place for one.

    To be called before there is a thread, and before gRPC is used: neither outlives a fork.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(f"\0scaffold-plugins-{engine}")
        ending = os.pidfd_open(engine)
    except (AttributeError, OSError):
        listener.close()
        return
    if os.getppid() == engine and os.fork() == 0:
        try:
            tend(listener, ending, root)
        finally:
            os._exit(0)
    os.close(ending)
    listener.close()


def tend(listener: socket.socket, engine: int, root: str) -> None:
    """Fork what is asked for until the engine, a descriptor of whose process this is, has ended."""
    listener.listen()  # here, since who is asked who listens says who called this
    os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(STANDARD):
        os.dup2(nothing, number)
    os.chdir("/")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in SHARED:
        importlib.import_module(name)
    while engine not in select.select([listener.fileno(), engine], [], [])[0]:
        line = listener.accept()[0]
        # Who asks wrongly, or for what is not there, gets no answer, and finds out by itself.
        with line, suppress(Exception), received(line) as (wanted, files):
            code, interpreter, arguments, *surroundings = wanted
            if (code, interpreter) != (root, sys.executable):
                continue
            importlib.import_module(f"offline.{arguments[1]}.__main__")
            if os.fork() == 0:
                listener.close()
                grow(StandIn(line, engine), files, arguments, surroundings)


@contextmanager
def received(line: socket.socket) -> Iterator[tuple[Any, list[int]]]:
    """Lend what is wanted, and the descriptors that came with it; raise OSError or EOFError."""
    line.settimeout(ASKING_SECONDS)
    user = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS_BYTES)[4:8]
    if int.from_bytes(user, sys.byteorder) != os.geteuid():
        raise PermissionError
    head, files, _, _ = socket.recv_fds(line, LENGTH_BYTES, STANDARD)
    try:
        left = int.from_bytes(head, "big")
        parts = []
        while left:
            parts.append(line.recv(min(left, PIECE_BYTES)))
            left -= len(parts[-1])
            if not parts[-1]:
                raise EOFError
        yield marshal.loads(b"".join(parts)), files  # noqa: S302  it is this user's own
    finally:
        for number in files:
            os.close(number)


def grow(whose: StandIn, files: list[int], arguments: list[str], surroundings: Any) -> NoReturn:
    """Make a forked process the plugin that was asked for, and run that to its end."""
    try:
        name = arguments.pop(1)
        become(name, files, arguments, *surroundings)
        whose.begin()
        run(name)
    except BaseException:
        traceback.print_exc()
    whose.leave(FAILED)


def become(
    name: str, files: list[int], arguments: list[str], folder: str, environment: dict[str, str], group: int
) -> None:
    """Give a forked process what the one has that asked for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, group)
    for target in range(STANDARD):
        os.dup2(files[target], target)
        os.close(files[target])
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    Path("/proc/self/comm").write_text(name)  # of its command line it keeps the first plugin's
