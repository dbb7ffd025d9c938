"""Watching objects: each state as it comes, with the beginning told again where the server lost the thread."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

from kubeapi.client import Client
from kubeapi.errors import GONE, ApiError, SlowError, UnreachableError, refused

WATCH_SECONDS = 300
SILENCE_SECONDS = 5.0
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 30.0

Objects = dict[str, dict[str, Any]]


def states(
    client: Client, path: str, query: Mapping[str, str], ended: Callable[[], bool], silence: float = SILENCE_SECONDS
) -> Generator[Objects, None, None]:
    """Yield the objects of a collection by name whenever they changed, and at the latest after `silence` seconds.

    The first state comes at once. Ends when `ended` says so; an API server that restarts is waited for up to half a
    minute. Raises ApiError and UnreachableError.
    """
    last_reached = time.monotonic()
    while not ended():
        try:
            listed = client.get(path, query)
            last_reached = time.monotonic()
            known: Objects = {item["metadata"]["name"]: item for item in listed.get("items", [])}
            yield known
            yield from _changes(client, path, query, listed["metadata"]["resourceVersion"], known, ended, silence)
            last_reached = time.monotonic()
        except ApiError as error:
            if error.status != GONE:
                raise
        except UnreachableError:
            if time.monotonic() - last_reached > PATIENCE_SECONDS:
                raise
            time.sleep(PAUSE_SECONDS)


def _changes(
    client: Client, path: str, query: Mapping[str, str], version: str, known: Objects, ended: Callable[[], bool],
    silence: float,
) -> Generator[Objects, None, None]:  # fmt: skip
    while not ended():
        watched = {**query, "watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS),
                   "allowWatchBookmarks": "true"}  # fmt: skip
        try:
            with client.stream(path, watched, silence) as lines:
                for line in lines:
                    event = json.loads(line)
                    found = event["object"]
                    if event["type"] == "ERROR":
                        raise refused(int(found.get("code") or 0), found, str(found.get("message")))
                    version = found["metadata"]["resourceVersion"]
                    if event["type"] == "BOOKMARK":
                        continue
                    if event["type"] == "DELETED":
                        known.pop(found["metadata"]["name"], None)
                    else:
                        known[found["metadata"]["name"]] = found
                    yield known
                    if ended():
                        return
        except SlowError:
            yield known  # nothing happened: whoever waits looks at the clock


class Follower:
    """Follows several collections on threads of its own, and wakes whoever waits when one of them changed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._changed = threading.Condition()
        self._turn = 0
        self._ended = threading.Event()
        self._states: dict[str, Objects] = {}
        self._failure: Exception | None = None

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def follow(self, name: str, path: str, query: Mapping[str, str] | None = None) -> None:
        """Begin to follow a collection under a name."""
        threading.Thread(target=self._run, args=(name, path, dict(query or {})), daemon=True).start()

    def objects(self, name: str) -> Objects | None:
        """Return a collection's latest state, None before the first; raise what following it raised."""
        with self._changed:
            if self._failure is not None:
                raise self._failure
            found = self._states.get(name)
            return None if found is None else dict(found)

    def wait(self, seconds: float, turn: int) -> int:
        """Wait until something changed since `turn`, but not longer than this; return the present turn."""
        with self._changed:
            self._changed.wait_for(lambda: self._turn != turn, timeout=max(0.0, seconds))
            return self._turn

    def wake(self) -> None:
        """Wake whoever waits."""
        with self._changed:
            self._turn += 1
            self._changed.notify_all()

    def _run(self, name: str, path: str, query: dict[str, str]) -> None:
        try:
            with contextlib.closing(states(self._client, path, query, self._ended.is_set)) as seen:
                for state in seen:
                    with self._changed:
                        self._states[name] = dict(state)
                        self._turn += 1
                        self._changed.notify_all()
        except Exception as error:
            with self._changed:
                self._failure = error
                self._turn += 1
                self._changed.notify_all()
