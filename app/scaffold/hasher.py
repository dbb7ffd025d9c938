"""A program of its own that makes and compares Argon2id hashes, one after the other: a line of JSON in, one out.

Apart from the process that serves pages, as a thread there that gives way does so with Python's lock in its hand, and
every page waits for it. It is started as a file, so that it loads nothing of the app, and ends with its input, or when
nobody has asked for a while, with the memory that it keeps from hash to hash.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Mapping
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# Whoever serves pages goes first, but not so much that a busy machine would sign nobody in.
NICE = 10


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return a hash of a password, or whether it is the one that was kept, and the seconds of a processor it took."""
    began = time.process_time()
    kept, password = question["kept"], question["password"]
    made = PasswordHasher(time_cost=question["passes"], memory_cost=question["memory"], parallelism=question["lanes"])
    found = {"hash": made.hash(password)} if kept is None else {"same": is_same(made, kept, password)}
    return {**found, "seconds": time.process_time() - began}


def is_same(made: PasswordHasher, kept: str, password: str) -> bool:
    """Compare a password with what was kept of it."""
    try:
        return made.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def main(idle_seconds: float) -> None:
    """Answer until the input ends, or nobody has asked for so long."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
    while select.select([sys.stdin], [], [], idle_seconds)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    # A Ctrl-C at a terminal is for whoever asks.
    with contextlib.suppress(KeyboardInterrupt):
        main(float(sys.argv[1]))
