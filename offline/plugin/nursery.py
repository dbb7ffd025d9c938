"""The process from which an engine's plugins are forked: it has loaded what they load, and ends with the engine.

It listens in a folder that nobody but its user gets into, under the engine's number; `offline/start.py` asks there.
Whoever asks must want the same code on the same interpreter. A plugin is forked into the process group of who asks for
it, where the engine's signals reach it, with its descriptors, arguments, folder and environment.
"""

from __future__ import annotations

import errno
import importlib
import marshal
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from offline.launch import run
from offline.plugin import owner

ASKING_SECONDS = 5.0
STANDARD = 3
"""How many descriptors a plugin is given: its standard input, output and error output."""
LENGTH_BYTES = 4
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
        for last_step in (sys.stdout.flush, sys.stderr.flush, lambda: self._line.sendall(bytes([code]))):
            with suppress(OSError):
                last_step()
        os._exit(code)


def leave_behind(engine: int, root: str, address: Callable[[int], str]) -> None:
    """Fork this process' nursery, unless the engine has one or this is no place for one: `address` raises OSError then.

    To be called before there is a thread, and before gRPC is used: neither outlives a fork.
    """
    if not has_other_end(sys.stdout.fileno()):
        return  # the engine was killed: what is taken for it is who adopts its children, and does not end
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, suppress(AttributeError, OSError):
        ending = os.pidfd_open(engine)
        try:
            if os.getppid() == engine:
                place = taken(engine, address, listener)
                if os.fork() == 0:
                    try:
                        tend(listener, ending, root)
                    finally:
                        place.unlink(missing_ok=True)
                        os._exit(0)
        finally:
            os.close(ending)


def taken(engine: int, address: Callable[[int], str], listener: socket.socket) -> Path:
    """Give a socket an engine's address, and return that; raise OSError where it is not to be had."""
    place = Path(address(engine))
    space, _, own = place.name.partition("-")
    for path in place.parent.glob(f"{space}-*"):
        number = path.name.removeprefix(f"{space}-")
        # What a nursery that was killed has left. That of an engine which lives may be about to listen.
        if (number == own or not Path("/proc", number).exists()) and not answers(path):
            path.unlink(missing_ok=True)
    listener.bind(str(place))
    listener.listen()  # here already, so that whoever comes before there is somebody to answer waits
    return place


def answers(path: Path) -> bool:
    """Return whether anybody listens on a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        return line.connect_ex(str(path)) != errno.ECONNREFUSED


def has_other_end(descriptor: int) -> bool:
    """Return whether anybody has the other end of a pipe."""
    looking = select.poll()
    looking.register(descriptor, 0)
    return not looking.poll(0)


def tend(listener: socket.socket, engine: int, root: str) -> None:
    """Fork what is asked for until the engine, a descriptor of whose process this is, has ended."""
    listener.listen()  # once more: who called this last is who is said to listen
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
