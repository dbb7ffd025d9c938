"""What is said to a command that runs elsewhere, and what it says: this process's standard streams, as they come."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import sys
from collections.abc import Iterable, Iterator
from typing import Protocol

from setup.problem import Problem

PIECE = 65_536
IN, ERR = 0, 2
# How long one may be silent; a command that says nothing for longer hangs.
SECONDS = 900.0


class Wire(Protocol):
    """How a connection carries the streams of a command."""

    def given(self, data: bytes) -> bytes:
        """Return what is sent to give the command some input."""

    def given_all(self) -> bytes | None:
        """Return what is sent to say that there is no more; None where closing this way says so, if anything does."""

    def taken(self, data: bytes) -> Iterable[tuple[int, bytes]]:
        """Return what the command said in some bytes that came, each with the number of its stream."""

    @property
    def answer(self) -> bytes:
        """What the other side wants to be sent now."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""


class Lost(Problem):
    """Nobody knows how a command ends: what it ran in has gone, the way to it broke, or it is silent."""


@contextlib.contextmanager
def with_command_in(name: str, stack: str, service: str) -> Iterator[None]:
    """Raise Lost where the command in a container or pod hangs, or the connection to it breaks."""
    logs = f"make logs STACK={stack} SERVICE={service}"
    try:
        yield
    except TimeoutError:
        raise Lost(
            f"The command in {name} has said nothing for {SECONDS / 60:.0f} minutes.",
            f"it may go on there; see what it waits for: {logs}",
        ) from None
    except OSError as error:
        raise Lost(
            f"The connection to the command in {name} broke: {error}.",
            f"it may go on there: {logs}, then run this again",
        ) from None


def carry(connection: socket.socket, wire: Wire, seconds: float = SECONDS) -> None:
    """Pass everything on until the command has ended; raise TimeoutError when it is silent for too long."""
    connection.setblocking(False)
    outgoing, source = b"", standard_input()
    while not wire.over:
        # No input is taken while some is on its way: a command that reads late would have it piled up here.
        ready = wait(connection, seconds, None if outgoing else source, sending=bool(outgoing))
        try:
            if source in ready and not outgoing:
                data = os.read(IN, PIECE)
                source = source if data else None
                outgoing = given(connection, wire, data)
            if outgoing:
                outgoing = rest_of(connection, outgoing)
        except OSError:
            # Nobody takes it any more; what is said may still come.
            outgoing, source = b"", None
        if connection.fileno() in ready:
            if not heard(connection, wire):
                return
            outgoing += wire.answer


def standard_input() -> int | None:
    """Return the number of standard input, where there is one."""
    try:
        os.fstat(IN)
    except OSError:
        return None
    return IN


def wait(connection: socket.socket, seconds: float, source: int | None, *, sending: bool) -> set[int]:
    """Return the numbers of what there is something to do with; raise TimeoutError when there is nothing for long."""
    poll = select.poll()
    poll.register(connection, select.POLLIN | (select.POLLOUT if sending else 0))
    if source is not None:
        poll.register(source, select.POLLIN)
    # What TLS has read from the network already is nothing that a poll tells of.
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return {connection.fileno(), *(number for number, _ in poll.poll(0))}
    found = {number for number, _ in poll.poll(seconds * 1000)}
    if not found:
        raise TimeoutError
    return found


def given(connection: socket.socket, wire: Wire, data: bytes) -> bytes:
    """Return what is to be sent for some input, or for its end."""
    if data:
        return wire.given(data)
    message = wire.given_all()
    if message is None and not isinstance(connection, ssl.SSLSocket):
        connection.shutdown(socket.SHUT_WR)
    return message or b""


def rest_of(connection: socket.socket, outgoing: bytes) -> bytes:
    """Send as much as there is room for, and return what is left."""
    try:
        return outgoing[connection.send(outgoing) :]
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return outgoing


def heard(connection: socket.socket, wire: Wire) -> bool:
    """Take what has come and pass it on; return False when the other side has closed."""
    try:
        data = connection.recv(PIECE)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True
    except ConnectionResetError:
        # It closed without having read all of the input.
        return False
    for stream, said in wire.taken(data):
        target = sys.stderr if stream == ERR else sys.stdout
        target.buffer.write(said)
        target.buffer.flush()
    return bool(data)
