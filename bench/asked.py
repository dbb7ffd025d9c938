"""Requests made one after the other on a connection that stays open, with the moment and the status of each answer."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """One request: when it was sent, when it was answered, and with what; 0 for no answer."""

    sent: float
    answered: float
    status: int


def ask(port: int, path: str, pause: float, until: threading.Event, asked: list[Asked]) -> None:
    """Ask again and again, with a pause of so many seconds between an answer and the next request."""
    connection = http.client.HTTPConnection("localhost", port, timeout=15)
    while not until.is_set():
        sent = time.monotonic()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
            status = 0
        asked.append(Asked(sent, time.monotonic(), status))
        until.wait(pause)
    connection.close()


@contextmanager
def asking(port: int, path: str = "/", *, connections: int, pause: float) -> Iterator[list[Asked]]:
    """Ask on some connections while the block lasts; the list grows meanwhile and is whole after it."""
    asked: list[Asked] = []
    ended = threading.Event()
    threads = [threading.Thread(target=ask, args=(port, path, pause, ended, asked)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        ended.set()
        for thread in threads:
            thread.join()
