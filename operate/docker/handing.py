"""Handing the key that decrypts backups to the job that loads one, when it comes to run; nothing keeps the key."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from operate.docker import inside
from operate.docker.command import Frames
from operate.docker.containers import daemon_of, of_stack
from operate.request import Request
from setup.daemon import Daemon, DaemonError

SERVICE = "recovery"
COMMAND = ("python", "-m", "backup", "key")
POLL_SECONDS = 0.5
SECONDS = 60
LAST_LINES = "20"


@contextlib.contextmanager
def handed(request: Request, key: bytes) -> Iterator[None]:
    """Have the key handed in while the block lasts."""
    ended = threading.Event()
    thread = threading.Thread(target=hand, args=(daemon_of(request), request.stack, key, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(SECONDS)


def hand(client: Daemon, stack: str, key: bytes, ended: threading.Event) -> None:
    """Give each container of the job the key once, until the update has ended; one that fails is tried again."""
    given: set[str] = set()
    while not ended.wait(POLL_SECONDS):
        # The daemon may be busy, and the container may end meanwhile: the job says so itself.
        with contextlib.suppress(OSError, DaemonError):
            for each in of_stack(client, stack):
                if each.service != SERVICE or not each.running or each.identifier in given:
                    continue
                if inside.talk(client, each.identifier, COMMAND, key, SECONDS).code == 0:
                    given.add(each.identifier)


def said(request: Request, job: str = SERVICE) -> list[str]:
    """Return the last lines that the job said, or another that brings data back."""
    client = daemon_of(request)
    for each in of_stack(client, request.stack):
        if each.service == job:
            query = {"stdout": "1", "stderr": "1", "tail": LAST_LINES}
            with client.reading(f"/containers/{each.identifier}/logs", SECONDS, query) as answer:
                frames = b"".join(piece for _, piece in Frames().taken(answer.read()))
            return frames.decode(errors="replace").splitlines()
    return []
