"""What a long step tells while it lasts."""

from __future__ import annotations

import time
from collections.abc import Callable

from backup import line

EVERY_SECONDS = 10.0


class Progress:
    """Prints a step's fields every few seconds, and how long it took at its end."""

    def __init__(self, step: str, fields: Callable[[], dict[str, object]] = dict) -> None:
        """Take the step's name, and what tells how far it is."""
        self.step = step
        self.fields = fields
        self.began = self.told = time.monotonic()

    def tick(self) -> None:
        """Print a line when the last one is some seconds old."""
        now = time.monotonic()
        if now - self.told >= EVERY_SECONDS:
            self.told = now
            line.say("info", f"{self.step}: under way", seconds=round(now - self.began, 1), **self.fields())

    def done(self, **fields: object) -> None:
        """Print that the step is done."""
        line.say("info", f"{self.step}: done", seconds=round(time.monotonic() - self.began, 3), **fields)
