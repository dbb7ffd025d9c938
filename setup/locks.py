"""Locks between runs on one machine; the kernel drops them when a run dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: process number, what it does, and since when (seconds since the epoch)."""

    pid: int
    doing: str
    since: float

    def __str__(self) -> str:
        started = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} ({self.doing}, since {started})"


class Held(Exception):  # noqa: N818 - a state, not a fault
    """Another run holds the lock; `holder` is None where it has not said who it is."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        super().__init__(path, holder)
        self.path = path
        self.holder = holder


@contextlib.contextmanager
def lock(
    path: Path, doing: str, wait: float = 0, waiting: Callable[[Holder | None], None] | None = None
) -> Iterator[None]:
    """Hold the lock while the block runs; raise Held when another run still has it after `wait` seconds.

    `waiting` is told once who is being waited for. The file stays: removing it would let two runs in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path, wait, waiting)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "doing": doing, "since": time.time()}).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def current_holder(path: Path) -> Holder | None:
    """Return who holds the lock now, or None when nobody does; what a killed run left in the file does not count."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder_of(path)
    else:
        return None
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> Holder | None:
    """Return who the file says to hold the lock, or None when it does not say."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Holder(int(found["pid"]), str(found["doing"]), float(found["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _acquire(descriptor: int, path: Path, wait: float, waiting: Callable[[Holder | None], None] | None) -> None:
    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Held(path, holder_of(path)) from None
        else:
            return
        if waiting and not told:
            waiting(holder_of(path))
            told = True
        time.sleep(POLL_SECONDS)
