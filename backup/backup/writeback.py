"""Sends what is written to the disk piece by piece, so that nobody's commit waits behind a heap of it.

The kernel keeps what is written for a while and then writes all of it at once. A database on the same disk has to wait
for that with each commit: a test restore of a gigabyte made some wait for most of a second (Linux, ext4).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PIECE = 2 << 20
LOOK_SECONDS = 0.1
# What a file got longer ago the kernel has been asked to write already.
FRESH_SECONDS = 5.0
# A call that takes less has found nothing to write.
NOTHING_SECONDS = 0.0005
# Before the next piece others have the disk for as long as this one took.
LONGEST_REST_SECONDS = 0.2
# From linux/fs.h: wait for what is on its way, send the rest, wait for that.
WAIT_BEFORE, WRITE, WAIT_AFTER = 1, 2, 4

Send = Callable[[int, int, int], None]


@contextlib.contextmanager
def steady(*folders: Path) -> Iterator[None]:
    """Send what anybody writes below some folders to the disk for as long as the block lasts; promises nothing."""
    send, ended = find(), threading.Event()
    if send is None:
        yield
        return
    thread = threading.Thread(target=work, args=(folders, send, ended), name="writeback", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def find() -> Send | None:
    """Return the call that sends a piece of a file to the disk; None where the system has none."""
    try:
        call = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError):
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]

    def send(descriptor: int, at: int, count: int) -> None:
        # What goes wrong with it goes wrong for the one who syncs the file, too.
        call(descriptor, at, count, WAIT_BEFORE | WRITE | WAIT_AFTER)

    return send


def work(folders: tuple[Path, ...], send: Send, ended: threading.Event) -> None:
    """Look for what was written and send it, until told to end."""
    while not ended.wait(LOOK_SECONDS):
        since = time.time() - FRESH_SECONDS
        for path in [found for folder in folders for found in fresh(folder, since)]:
            # A file may go while it is looked at.
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    send_all(descriptor, send, ended)
                finally:
                    os.close(descriptor)


def fresh(folder: Path, since: float) -> Iterator[Path]:
    """Yield the files below a folder that somebody has written to since a moment."""
    for name, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                path = Path(name, file)
                if path.lstat().st_mtime >= since:
                    yield path


def send_all(descriptor: int, send: Send, ended: threading.Event) -> None:
    """Send a file's pieces, and leave the disk to others after each that there was anything of."""
    for at in range(0, os.fstat(descriptor).st_size, PIECE):
        began = time.monotonic()
        send(descriptor, at, PIECE)
        taken = time.monotonic() - began
        if taken > NOTHING_SECONDS and ended.wait(min(taken, LONGEST_REST_SECONDS)):
            return
