"""The only writer of the container's output: a thread, so that a reader who hangs never holds up PID 1's duties."""

from __future__ import annotations

import os
import threading
import time
from collections import deque

from server import jsonlog, line
from server.follower import Follower

OUTPUT = 1
SOON, LATER = 0.02, 0.25
EAGER_SECONDS = 3.0  # after its start, and after anything was said, a server has more to say


class Printer:
    """Prints what PID 1 says and what the server logs, each as one line of JSON."""

    def __init__(self) -> None:
        """Start the thread; nothing is followed yet."""
        self.said: deque[dict[str, object]] = deque(maxlen=10_000)
        self.follower: Follower | None = None
        self.wake = threading.Event()
        self.closed = False
        self.thread = threading.Thread(target=self.work, name="printer", daemon=True)
        self.thread.start()

    def say(self, level: str, message: str, **fields: object) -> None:
        """Have a line of PID 1's own printed."""
        self.hand(line.entry(level, message, **fields))

    def hand(self, fields: dict[str, object]) -> None:
        """Have a finished line printed."""
        self.said.append(fields)
        self.wake.set()

    def follow(self, follower: Follower) -> None:
        """Print from now on what this follower finds."""
        self.follower = follower
        self.wake.set()

    def close(self, seconds: float) -> None:
        """Print what is there, for at most some seconds, then end."""
        self.closed = True
        self.wake.set()
        self.thread.join(seconds)

    def work(self) -> None:
        """Print until closed and nothing is left."""
        eager_until = time.monotonic() + EAGER_SECONDS
        while True:
            last_round = self.closed
            try:
                busy = self.round()
            except OSError:  # a full volume or a closed output: what was not printed is tried again
                busy = False
            if busy:
                eager_until = time.monotonic() + EAGER_SECONDS
            elif last_round:
                return
            self.wake.wait(SOON if time.monotonic() < eager_until else LATER)
            self.wake.clear()

    def round(self) -> bool:
        """Print what is there now; return whether there was anything."""
        # What the server logged before PID 1 said something comes before it.
        count = len(self.said)
        any_line = count > 0
        if self.follower is not None:
            for name, text in self.follower.poll():
                self.put(jsonlog.parse(text) if name.endswith(".json") else jsonlog.early(text))
                any_line = True
        for _ in range(count):
            self.put(self.said.popleft())
        return any_line

    def put(self, fields: dict[str, object]) -> None:
        """Write one line, whole."""
        rest = line.render(fields).encode() + b"\n"
        while rest:
            rest = rest[os.write(OUTPUT, rest) :]
