"""Tells how far the loader is with a job: the coordinator by a file, people by lines in the log."""

from __future__ import annotations

import time
from pathlib import Path

from backup import line
from restore import request

FILE_SECONDS = 1.0
LINE_SECONDS = 10.0


class Stage:
    """One phase of a job."""

    def __init__(self, folder: Path, seq: int, phase: str, of: int = 0) -> None:
        """Begin it; `of` is what it comes to at its end."""
        self.of = of
        self._folder, self._seq, self._phase = folder, seq, phase
        self._began = self._told = time.monotonic()
        self._written = 0.0

    def tick(self, done: int = 0, table: str = "") -> None:
        """Tell, where the last time is a while ago."""
        now = time.monotonic()
        if now - self._written >= FILE_SECONDS:
            self._written = now
            request.progress(self._folder, self._seq, self._phase, done, self.of, table)
        if now - self._told >= LINE_SECONDS:
            self._told = now
            seconds = round(now - self._began, 1)
            line.say(
                "info", f"{self._phase}: under way", job=self._folder.name, seconds=seconds, bytes=done, of=self.of
            )

    def done(self, **fields: object) -> float:
        """Tell that it is done, and return how long it took."""
        seconds = round(time.monotonic() - self._began, 3)
        line.say("info", f"{self._phase}: done", job=self._folder.name, seconds=seconds, **fields)
        return seconds
