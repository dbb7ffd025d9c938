"""The archivist as PID 1 has it beside the server: started again when it ends, and never in the server's way."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Mapping

from server.child import STOPPING

COMMAND = (sys.executable, "-m", "server", "archive")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
LONG_ENOUGH = 300.0


class Companion:
    """One process that prints its own lines; a descriptor of it tells when it has ended, whoever reaped it."""

    def __init__(self, environ: Mapping[str, str], closed: tuple[int, ...]) -> None:
        """Start it without these descriptors of PID 1's."""
        self.environ = dict(environ)
        self.closed = closed
        self.descriptor: int | None = None
        self.pause = FIRST_PAUSE
        self.due = 0.0
        self.since = 0.0
        self.stopping = False
        self.tick()

    def tick(self) -> bool:
        """See to it that it runs; return whether it had ended."""
        ended = self.descriptor is not None and self.has_ended(self.descriptor)
        now = time.monotonic()
        if ended and self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
            self.pause = FIRST_PAUSE if now - self.since > LONG_ENOUGH else min(self.pause * 2, LONGEST_PAUSE)
            self.due = now + self.pause
        if self.descriptor is None and not self.stopping and now >= self.due:
            self.start()
        return ended and not self.stopping

    def start(self) -> None:
        """Start it in a session of its own."""
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            *((os.POSIX_SPAWN_CLOSE, each) for each in self.closed),
        ]
        pid = os.posix_spawn(
            COMMAND[0],
            COMMAND,
            self.environ,
            file_actions=actions,
            setsigdef=[*STOPPING, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE],
            setsid=True,
            setsigmask=[],
        )
        self.descriptor = os.pidfd_open(pid)
        self.since = time.monotonic()

    def stop(self) -> None:
        """Ask it to end, once, and do not start it again."""
        if not self.stopping and self.descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.descriptor, signal.SIGTERM)
        self.stopping = True

    @staticmethod
    def has_ended(descriptor: int) -> bool:
        """Return whether the process of a descriptor has ended."""
        return bool(select.select([descriptor], [], [], 0)[0])
