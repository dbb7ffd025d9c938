"""A collection of the API's objects over all namespaces, kept as it is now."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from kubeapi.access import KubeconfigError
from kubeapi.client import Client
from kubeapi.errors import GONE, ApiError, SlowError, UnreachableError

Object = dict[str, Any]
Say = Callable[[str], None]
PAUSE_SECONDS = 0.5
# The server sends a bookmark each minute.
SILENCE_SECONDS = 90.0
WATCH_SECONDS = 600


class Collection:
    """Follows a collection on a thread of its own for ever, through restarts of the API; `changed` is called by it."""

    def __init__(self, client: Client, path: str, changed: Callable[[], None], say: Say) -> None:
        self._client = client
        self._path = path
        self._changed = changed
        self._say = say
        self._lock = threading.Lock()
        self._objects: dict[str, Object] = {}
        self.known = threading.Event()

    def start(self) -> None:
        """Begin to follow."""
        threading.Thread(target=self._run, daemon=True, name=self._path).start()

    def objects(self) -> list[Object]:
        """Return the objects as they are now."""
        with self._lock:
            return list(self._objects.values())

    def put(self, found: Object) -> None:
        """Take in an object that was asked for by itself, unless it is known in a later form."""
        with self._lock:
            self._objects.setdefault(found["metadata"]["uid"], found)

    def has(self, uid: str) -> bool:
        """Return whether the object is known."""
        with self._lock:
            return uid in self._objects

    def _run(self) -> None:
        trouble = ""
        while True:
            try:
                listed = self._client.get(self._path)
                with self._lock:
                    self._objects = {item["metadata"]["uid"]: item for item in listed.get("items") or []}
                self.known.set()
                self._changed()
                if trouble:
                    self._say(f"{self._path}: the API answers again")
                    trouble = ""
                self._watch(listed["metadata"]["resourceVersion"])
            except (ApiError, UnreachableError, KubeconfigError, ValueError, KeyError) as error:
                gone = isinstance(error, ApiError) and error.status == GONE
                if not gone and str(error) != trouble:
                    trouble = str(error)
                    self._say(f"{self._path}: {trouble}")
                time.sleep(PAUSE_SECONDS)

    def _watch(self, version: str) -> None:
        while True:
            query = {
                "watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true",
                "timeoutSeconds": str(WATCH_SECONDS),
            }  # fmt: skip
            try:
                with self._client.stream(self._path, query, SILENCE_SECONDS) as lines:
                    for line in lines:
                        event = json.loads(line)
                        found = event["object"]
                        if event["type"] == "ERROR":
                            raise ApiError(int(found.get("code") or 0), "", str(found.get("message")))
                        version = found["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            self._take(event["type"], found)
            except SlowError:
                continue

    def _take(self, kind: str, found: Object) -> None:
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(found["metadata"]["uid"], None)
            else:
                self._objects[found["metadata"]["uid"]] = found
        self._changed()
