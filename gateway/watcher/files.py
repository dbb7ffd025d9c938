"""Generations of the two files the gateway is given: each kept whole under its digest, one of them current."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from string import Template

from watcher import durable
from watcher.layout import Layout

PAGE = "maintenance.html"
SETTINGS = "gateway.json"
KEPT = 3
DEFAULT = "default"
LARGEST_PAGE = 1024 * 1024


class FilesError(ValueError):
    """Files that cannot be used."""


@dataclass(frozen=True)
class Files:
    """The page and the settings, as texts."""

    page: str
    settings: str

    @property
    def digest(self) -> str:
        """The name of this pair."""
        return hashlib.sha256(f"{len(self.page)}:{self.page}{self.settings}".encode()).hexdigest()[:16]


def check(given: object) -> Files:
    """Return the files in a JSON value; raise FilesError."""
    if not isinstance(given, dict) or set(given) != {PAGE, SETTINGS}:
        raise FilesError(f'files: wanted {{"{PAGE}": "...", "{SETTINGS}": "..."}}')
    page, settings = given[PAGE], given[SETTINGS]
    if not isinstance(page, str) or not page.strip() or len(page) > LARGEST_PAGE:
        raise FilesError(f"{PAGE}: wanted a page that is not empty, of at most {LARGEST_PAGE} characters")
    if not isinstance(settings, str):
        raise FilesError(f"{SETTINGS}: wanted its text")
    return Files(page, settings)


class Store:
    """The generations on the volume."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def prepare(self) -> None:
        """Make the directories, and point `current` at the built-in files where nothing was ever applied."""
        self._layout.generations.mkdir(parents=True, exist_ok=True)
        template = (self._layout.image / "maintenance.html.tmpl").read_text(encoding="utf-8")
        page = Template(template).substitute(
            brand="This site", title="Back in a moment", message="The site is being made ready.", contact=""
        )
        self._write(DEFAULT, Files(page, "{}"))
        if not (self._layout.current / PAGE).is_file():
            self.use(DEFAULT)

    def current(self) -> str:
        """Return the digest of the files in use, or `default`."""
        return self._layout.current.readlink().name

    def read(self) -> Files:
        """Return the files in use; raise OSError."""
        directory = self._layout.current
        return Files((directory / PAGE).read_text(encoding="utf-8"), (directory / SETTINGS).read_text(encoding="utf-8"))

    def add(self, files: Files) -> str:
        """Store a generation and return its name; raise OSError."""
        self._write(files.digest, files)
        return files.digest

    def use(self, name: str) -> None:
        """Make a generation the current one."""
        durable.link(self._layout.current, Path(self._layout.generations.name) / name)

    def prune(self) -> None:
        """Remove the oldest generations; never the current one, never the built-in one."""
        spared = {self.current(), DEFAULT}
        directories = [entry for entry in self._layout.generations.iterdir() if entry.name not in spared]
        directories.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
        for entry in directories[KEPT - 1 :]:
            remove(entry)

    def _write(self, name: str, files: Files) -> None:
        directory = self._layout.generations / name
        directory.mkdir(exist_ok=True)
        durable.write(directory / PAGE, files.page)
        durable.write(directory / SETTINGS, files.settings)
        durable.sync_directory(self._layout.generations)


def remove(directory: Path) -> None:
    """Remove a generation; one that cannot be removed is left for another time."""
    with contextlib.suppress(OSError):
        for entry in directory.iterdir():
            entry.unlink()
        directory.rmdir()
