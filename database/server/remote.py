"""The archive in a bucket: what lies there is asked for folder by folder, and what is old is remembered for a while."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from typing import Any

from server import archiving, pgbackrest

HISTORY = re.compile(r"[0-9A-F]{8}\.history")
FOLDER = re.compile(r"[0-9A-F]{16}")
"""A timeline and the middle part of its segments' names."""
WHOLE_SECONDS = 3600.0
NEWEST = 2
"""Folders of each timeline that are asked for every time: segments are pushed in no order, so the last one may grow."""


class Remote:
    """What is known of it."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.identity = ""
        self.folders: dict[str, dict[str, float]] = {}
        self.histories: dict[str, str] = {}
        self.whole = 0.0

    def read(self, identity: str) -> tuple[dict[str, float], dict[str, str]]:
        """Return the files of a cluster's archive with their times, and what its history files say.

        Raise ToolError where it cannot be told.
        """
        root = f"archive/{archiving.STANZA}/{identity}"
        if identity != self.identity or time.monotonic() - self.whole > WHOLE_SECONDS:
            found = listed(root, "--recurse")
            self.folders = {name: {} for name in filter(FOLDER.fullmatch, found)}
            for path, at in found.items():
                folder, _, file = path.partition("/")
                if file and at is not None and folder in self.folders:
                    self.folders[folder][file] = at
            self.identity, self.whole = identity, time.monotonic()
        else:
            found = listed(root)
            there = list(filter(FOLDER.fullmatch, found))
            asked = newest(there) | set(there) - self.folders.keys()
            fresh = {name: files_in(f"{root}/{name}") for name in asked}
            self.folders = {name: fresh[name] if name in fresh else self.folders[name] for name in there}
        said = {
            name: self.histories.get(name) or pgbackrest.run("repo-get", f"{root}/{name}")[0]
            for name in filter(HISTORY.fullmatch, found)
        }
        self.histories = said
        return {file: at for files in self.folders.values() for file, at in files.items()}, said

    def forget(self) -> None:
        """Know nothing any more: what was old may have been given up."""
        self.identity, self.histories = "", {}


def newest(folders: Iterable[str]) -> set[str]:
    """Return the last folders of each timeline."""
    found: dict[str, list[str]] = {}
    for name in sorted(folders):
        found.setdefault(name[:8], []).append(name)
    return {name for names in found.values() for name in names[-NEWEST:]}


def files_in(path: str) -> dict[str, float]:
    """Return the files of a folder with their times."""
    return {name: at for name, at in listed(path).items() if at is not None}


def listed(path: str, *words: str) -> dict[str, float | None]:
    """Return what is in a folder of the repository, files with their times; nothing where it is not there."""
    said, _ = pgbackrest.run("repo-ls", "--output=json", *words, path)
    # There may be tens of thousands: of each no more is kept than its time.
    found: dict[str, float | None] = json.loads(said, object_hook=time_of)
    return found


def time_of(entry: dict[str, Any]) -> Any:
    """Return a file's time, None for a folder, and what holds them as it is."""
    return entry if "type" not in entry else entry.get("time") if entry["type"] == "file" else None
