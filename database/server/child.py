"""Child processes of PID 1: started, listened to, signalled, and reaped with everything else that ends up here."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Mapping

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Turns signals into something to wait for: each writes its number into a pipe."""

    def __init__(self) -> None:
        """Take over the signals that PID 1 answers to."""
        self.reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (*STOPPING, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def take(self) -> list[int]:
        """Return the numbers of the signals that came since the last time."""
        try:
            return list(os.read(self.reading, 512))
        except BlockingIOError:
            return []

    def wait(self, seconds: float) -> list[int]:
        """Return the signals that come within some seconds, at once when there is one."""
        select.select([self.reading], [], [], seconds)
        return self.take()


class Output:
    """Splits a child's output into lines."""

    def __init__(self, descriptor: int, on_line: Callable[[str], None]) -> None:
        """Hand each line read from the descriptor to `on_line`."""
        self.descriptor = descriptor
        self.on_line = on_line
        self.rest = b""
        self.open = True

    def read(self) -> bool:
        """Read what is there; at the end close, hand over a last line that has no end, and return False."""
        data = os.read(self.descriptor, 1 << 16)
        *lines, self.rest = (self.rest + data).split(b"\n")
        if not data:
            lines.append(self.rest)
            os.close(self.descriptor)
            self.open = False
        for text in lines:
            if text.strip():
                self.on_line(text.decode("utf-8", "replace"))
        return self.open


class Child:
    """One child process with its output on a pipe."""

    def __init__(self, command: list[str], environ: Mapping[str, str], on_line: Callable[[str], None]) -> None:
        """Start the command in a session of its own."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self.pid = os.posix_spawn(
                command[0],
                command,
                dict(environ),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, writing, 1),
                    (os.POSIX_SPAWN_DUP2, writing, 2),
                ],
                setsigdef=[*STOPPING, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE],
                setsid=True,
                setsigmask=[],
            )
        finally:
            os.close(writing)
        self.output = Output(reading, on_line)

    def signal(self, number: int) -> None:
        """Send a signal; the child is not reaped yet, so its number is still its own."""
        os.kill(self.pid, number)


def reap(child: Child) -> tuple[int | None, bool]:
    """Reap whoever has ended; return the child's exit status, if it was among them, and whether others are left.

    The status of a child that a signal ended is 128 and the signal's number, as a shell has it.
    """
    status = None
    while True:
        try:
            pid, raw = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status, False
        if pid == 0:
            return status, True
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(raw)
            status = code if code >= 0 else 128 - code


class Escalation:
    """How a child is asked to stop: politely at first, and by each later step when asked again or out of time."""

    def __init__(self, steps: list[tuple[int, float]]) -> None:
        """Take the steps, each a signal and the seconds to wait before the next."""
        self.steps = steps
        self.taken = 0
        self.deadline: float | None = None

    def step(self, now: float, asked: bool) -> int | None:
        """Return the signal to send now, if any."""
        due = self.deadline is not None and now >= self.deadline
        if not (asked or due):
            return None
        if self.taken == len(self.steps):
            self.deadline = None
            return None
        number, seconds = self.steps[self.taken]
        self.taken += 1
        self.deadline = now + seconds
        return number


def supervise(child: Child, signals: Signals, escalation: Escalation, tick: Callable[[], None]) -> int:
    """Serve a child until it has ended and return its exit status; `tick` is called every second."""
    poller = select.poll()
    poller.register(signals.reading, select.POLLIN)
    poller.register(child.output.descriptor, select.POLLIN | select.POLLHUP)
    while True:
        patience = 1.0
        if escalation.deadline is not None:
            patience = max(0.0, min(patience, escalation.deadline - time.monotonic()))
        ready = {descriptor for descriptor, _ in poller.poll(patience * 1000)}
        if child.output.open and child.output.descriptor in ready and not child.output.read():
            poller.unregister(child.output.descriptor)
        came = signals.take()
        status, _ = reap(child)
        if status is not None:
            while child.output.open and select.select([child.output.descriptor], [], [], 0.2)[0]:
                child.output.read()
            return status
        number = escalation.step(time.monotonic(), any(number in STOPPING for number in came))
        if number is not None:
            child.signal(number)
        elif signal.SIGHUP in came:
            child.signal(signal.SIGHUP)
        tick()
