"""A visitor who asks all the time: every answer is counted, on connections that stay open."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

PAUSE_SECONDS = 0.01


@dataclass
class Traffic:
    """Asks one path of a site on a few connections until it is stopped; bounded by `seconds`."""

    port: int
    path: str = "/"
    connections: int = 2
    seconds: float = 600
    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def __enter__(self) -> Traffic:
        """Start asking."""
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(self.connections)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop asking and wait for the last answers."""
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=30)

    def ask(self) -> None:
        """Ask again and again on one connection, and on a new one after a failure."""
        deadline = time.monotonic() + self.seconds
        connection = http.client.HTTPConnection("localhost", self.port, timeout=15)
        while not self.ended.is_set() and time.monotonic() < deadline:
            started = time.monotonic()
            try:
                connection.request("GET", self.path)
                answer = connection.getresponse()
                answer.read()
                self.answers[str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as failure:
                self.answers[type(failure).__name__] += 1
                connection.close()
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.ended.wait(PAUSE_SECONDS)
        connection.close()
