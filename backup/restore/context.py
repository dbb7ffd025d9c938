"""What every step works with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backup import line
from backup.notice import Channels
from restore import job as jobs
from restore.job import Job
from restore.journal import Journal, Record
from restore.lock import Lock
from restore.room import Room
from restore.settings import Settings
from restore.switchboard import Switchboard

TELL_SECONDS = 1.0
LOG_SECONDS = 10.0


@dataclass
class Context:
    """The settings, the journal, what containers are switched by, and what is told while a step lasts."""

    chosen: Settings
    journal: Journal
    board: Switchboard
    channels: Channels
    lock: Lock | None = None
    told: Callable[[Mapping[str, object]], None] = lambda _: None
    progress: dict[str, object] = field(default_factory=dict)
    shown: float = 0.0
    logged: float = 0.0
    alarmed: str = ""
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        """Know whom to ask for room."""
        self.room = Room(self.chosen.admin)

    def write(self, job: str, step: str, phase: str, data: Mapping[str, Any] | None = None) -> None:
        """Add to the journal, and tell who watches."""
        self.journal.append(Record(job, step, phase, round(time.time(), 3), dict(data or {})))
        self.progress = {}
        self.told({})

    def job(self, identifier: str) -> Job:
        """Return a job as the journal has it."""
        return jobs.of(self.journal.of(identifier))

    def tick(self, fields: Mapping[str, object] | None = None) -> None:
        """Tell how far a long step is, now and then."""
        if fields:
            self.progress = dict(fields)
        now = time.monotonic()
        if now - self.shown >= TELL_SECONDS:
            self.shown = now
            self.told(self.progress)
        if now - self.logged >= LOG_SECONDS:
            self.logged = now
            line.say("info", "under way", **self.progress)

    def processing(self, job: str) -> Path:
        """Return the folder of a job that nobody but this service writes to."""
        return self.chosen.folder("processing") / job

    def shared(self, job: str) -> Path:
        """Return the folder of a job that the loader sees."""
        return self.chosen.spool / job

    def hold(self, job: str) -> None:
        """Hold the lock that migrations take, where there is one."""
        if self.lock is not None:
            self.lock.hold(job, self.chosen.lock_seconds, self.tick)

    def release(self) -> None:
        """Let go of it."""
        if self.lock is not None:
            self.lock.release()
