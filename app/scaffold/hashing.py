"""Argon2id, which is slow on purpose: in two threads of their own, which give way to whoever serves pages."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MEMORY_KIB, PASSES, LANES = 46 * 1024, 1, 1
# As many as a worker's memory has room for.
AT_ONCE = 2
# One more may wait: whoever waits holds one of the threads that serve pages.
WAITING = 1
PATIENCE = 5.0
# After a hash, its thread rests so many times as long as it had a processor: guessing never gets all of one.
REST = 2.0
# Whoever serves pages goes first, but not so much that a busy machine would sign nobody in.
NICE = 10

# What is compared with where there is no account, so that this takes as long.
NOBODY = "$argon2id$v=19$m=47104,t=1,p=1$Ohv5+i5VC0Fk++yUCMCvNg$YstXkyKcIz+1qv8ZDjesw06KZCf7m4XZw0nMolAQtUY"

Found = TypeVar("Found")


class Busy(Exception):  # noqa: N818 - it is an answer, not a fault
    """Too many passwords are being looked at just now."""


class Hashing:
    """Gives places for hashing; whoever finds all taken is told to come again, and does not wait in a line."""

    def __init__(self) -> None:
        self.places = threading.BoundedSemaphore(AT_ONCE + WAITING)
        self.pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2", initializer=give_way)
        self.rested = threading.local()

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Take a place until the end of the block; raise `Busy` when there is none."""
        if not self.places.acquire(blocking=False):
            raise Busy
        try:
            yield Place(self)
        finally:
            self.places.release()

    def run(self, work: Callable[[], Found]) -> Found:
        """Return what the work returns; raise `Busy` when it was not done in time."""
        future = self.pool.submit(self._paced, work)
        try:
            return future.result(PATIENCE)
        except TimeoutError:
            future.cancel()
            raise Busy from None

    def _paced(self, work: Callable[[], Found]) -> Found:
        pause = getattr(self.rested, "until", 0.0) - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        began = time.thread_time()
        try:
            return work()
        finally:
            self.rested.until = time.monotonic() + REST * (time.thread_time() - began)


class Place:
    """A place that somebody has taken: it hashes and compares."""

    def __init__(self, hashing: Hashing) -> None:
        self.hashing = hashing

    def hash(self, password: str) -> str:
        """Return what is kept of a password; raise `Busy`."""
        return self.hashing.run(lambda: hasher().hash(password))

    def verify(self, kept: str | None, password: str) -> bool:
        """Tell whether a password is the one that was kept; None takes as long and is never it; raise `Busy`."""
        same = self.hashing.run(lambda: is_same(kept or NOBODY, password))
        return same and kept is not None


def give_way() -> None:
    """Make this thread give way; where the system knows no such thing for a thread it stays as it is."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def hasher() -> PasswordHasher:
    """Return Argon2id with the parameters of today."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def is_same(kept: str, password: str) -> bool:
    """Compare a password with what was kept of it."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return hasher().verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(kept: str) -> bool:
    """Tell whether what was kept was made with other parameters than today's."""
    return hasher().check_needs_rehash(kept)
