"""Argon2id, which is slow on purpose: in a process of its own, which gives way to whoever serves pages."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

MEMORY_KIB, PASSES, LANES = 46 * 1024, 1, 1
# One is worked at and one more may wait: whoever waits holds one of the threads that serve pages.
PLACES = 2
PATIENCE = 5.0
# After a hash the process rests so many times as long as it had a processor: guessing never gets all of one.
REST = 8.0
# It has hung when it does not answer within this, on however slow a machine.
LONGEST = 20.0
# Then it ends by itself, and gives back the memory that it keeps.
IDLE_SECONDS = 60.0
# The memory is kept from hash to hash, in large pages: a hash costs three fifths of what it does in fresh ones.
KEPT = 256 << 20
TUNABLES = f"glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold={KEPT}:glibc.malloc.trim_threshold={KEPT}"

# What is compared with where there is no account, so that this takes as long.
NOBODY = "$argon2id$v=19$m=47104,t=1,p=1$Ohv5+i5VC0Fk++yUCMCvNg$YstXkyKcIz+1qv8ZDjesw06KZCf7m4XZw0nMolAQtUY"

log = structlog.stdlib.get_logger(__name__)


class Busy(Exception):  # noqa: N818 - it is an answer, not a fault
    """Too many passwords are being looked at just now."""


class Hashing:
    """Gives places for hashing; whoever finds all taken is told to come again, and does not wait in a line."""

    def __init__(self) -> None:
        self.places = threading.BoundedSemaphore(PLACES)
        self.asking = ThreadPoolExecutor(1, thread_name_prefix="argon2")
        self.process: subprocess.Popen[str] | None = None
        self.finish: Callable[[], object] = lambda: None
        self.rested = 0.0

    def look(self) -> None:
        """Raise `Busy` when no place is free; without taking one, as a flood is to cost little."""
        with self.place():
            pass

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Take a place until the end of the block; raise `Busy` when there is none."""
        if not self.places.acquire(blocking=False):
            raise Busy
        try:
            yield Place(self)
        finally:
            self.places.release()

    def ask(self, kept: str | None, password: str) -> Mapping[str, Any]:
        """Return the process's answer; raise `Busy` when it did not come in time."""
        question = {"kept": kept, "password": password, "memory": MEMORY_KIB, "passes": PASSES, "lanes": LANES}
        future = self.asking.submit(self._paced, json.dumps(question))
        try:
            return future.result(PATIENCE)
        except TimeoutError:
            future.cancel()
            raise Busy from None

    def _paced(self, question: str) -> Mapping[str, Any]:
        pause = self.rested - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        answer = exchange(self.running(), question)
        if answer is None:
            # It was killed, or nobody had asked for a while; or it hangs, and then the next one will not.
            self.finish()
            answer = exchange(self.running(), question)
        if answer is None:
            self.finish()
            # Whoever asks is told the same as when many do.
            log.error("passwords cannot be hashed: the process for it ends or hangs")
            raise Busy
        self.rested = time.monotonic() + REST * float(answer["seconds"])
        return answer

    def running(self) -> subprocess.Popen[str]:
        """Return the process, started if there is none."""
        if self.process is None or self.process.poll() is not None:
            self.finish()
            self.process = start()
            self.finish = weakref.finalize(self, end, self.process)
        return self.process


class Place:
    """A place that somebody has taken: it hashes and compares."""

    def __init__(self, hashing: Hashing) -> None:
        self.hashing = hashing

    def hash(self, password: str) -> str:
        """Return what is kept of a password; raise `Busy`."""
        return str(self.hashing.ask(None, password)["hash"])

    def verify(self, kept: str | None, password: str) -> bool:
        """Tell whether a password is the one that was kept; None takes as long and is never it; raise `Busy`."""
        same = bool(self.hashing.ask(kept or NOBODY, password)["same"])
        return same and kept is not None


def start() -> subprocess.Popen[str]:
    """Start the process; it is handed nothing of this one's environment."""
    program = Path(__file__).with_name("hasher.py")
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", program, str(IDLE_SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"LANG": "C.UTF-8", "GLIBC_TUNABLES": TUNABLES},
        encoding="utf-8",
    )
    # One that ends by itself stays in the list of processes for as long as nobody waits for it.
    threading.Thread(target=process.wait, name="argon2-end", daemon=True).start()
    return process


def exchange(process: subprocess.Popen[str], question: str) -> Mapping[str, Any] | None:
    """Return the answer to a question; None from a process that was killed or has hung."""
    if process.stdin is None or process.stdout is None:
        return None
    try:
        process.stdin.write(question + "\n")
        process.stdin.flush()
    except OSError:
        return None
    # Not select(), which fails where there are more than a thousand connections.
    answered = select.poll()
    answered.register(process.stdout, select.POLLIN)
    if not answered.poll(LONGEST * 1000):
        return None
    line = process.stdout.readline()
    answer: Mapping[str, Any] | None = json.loads(line) if line.endswith("\n") else None
    return answer


def end(process: subprocess.Popen[str]) -> None:
    """End the process and leave nothing of it."""
    process.kill()
    with suppress(OSError):
        process.communicate()


def is_outdated(kept: str) -> bool:
    """Tell whether what was kept was made with other parameters than today's."""
    from argon2 import PasswordHasher

    today = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
    return today.check_needs_rehash(kept)
