"""Follows the server's log directory, keeps it small, and knows what was printed before."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 16
LONGEST_LINE = 4 << 20
BOUND = 16 << 20
OVERGROWN = 2 << 20  # twice the size at which the server itself begins another file


def finished(names: list[str], current: set[str]) -> list[str]:
    """Return the log files the server will write no more, oldest first.

    A new file exists before the server calls it current, and an old one is called current a moment too long: so a
    file is finished only when it is not called current and a later one of its kind exists.
    """
    done = []
    for suffix in (".json", ".log"):
        kind = sorted(name for name in names if name.endswith(suffix))
        done += [name for name in kind[:-1] if name not in current]
    return sorted(done)


def excess(sizes: dict[str, int], done: list[str], bound: int) -> list[str]:
    """Return the finished files to give up, oldest first, until the rest is within the bound in bytes."""
    total, gone = sum(sizes.values()), []
    for name in done:
        if total <= bound:
            break
        total -= sizes.get(name, 0)
        gone.append(name)
    return gone


class Follower:
    """Reads complete lines from every log file in a directory and deletes a file when it is read and finished.

    How far each file was read is kept beside them, so that a start after a crash goes on with the last words of the
    server before it, and repeats none.
    """

    def __init__(self, directory: Path, current_logfiles: Path) -> None:
        """Follow a directory; `current_logfiles` is the file in which the server names what it writes now."""
        self.directory = directory
        self.current_logfiles = current_logfiles
        self.place = directory / "position"
        self.offsets: dict[str, int] = {}
        self.skipping: set[str] = set()
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(self.place.read_text(encoding="utf-8"))
            self.offsets = {str(name): int(offset) for name, offset in kept.items()}

    def names(self) -> list[str]:
        """Return the log files there are, by name, which is by age."""
        try:
            return sorted(path.name for path in self.directory.iterdir() if path.suffix in (".json", ".log"))
        except FileNotFoundError:
            return []

    def current(self) -> set[str]:
        """Return the names of the files the server says it writes."""
        try:
            lines = self.current_logfiles.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return set()
        return {Path(text.partition(" ")[2]).name for text in lines}

    def poll(self) -> Iterator[tuple[str, str]]:
        """Give the lines written since the last time, each with its file's name; then note the place."""
        names = self.names()
        done = finished(names, self.current())
        before = dict(self.offsets)
        for name in names:
            yield from self.lines(name)
        for name in done:
            (self.directory / name).unlink(missing_ok=True)
        left = set(names).difference(done)
        self.offsets = {name: offset for name, offset in self.offsets.items() if name in left}
        if self.offsets != before:
            self.note()

    def lines(self, name: str) -> Iterator[tuple[str, str]]:
        """Give the complete lines of one file from where it was read last."""
        try:
            file = (self.directory / name).open("rb")
        except FileNotFoundError:
            return
        with file:
            start = self.offsets.get(name, 0)
            if start == os.fstat(file.fileno()).st_size:
                return
            file.seek(start)
            rest = b""
            while chunk := file.read(CHUNK):
                *whole, rest = (rest + chunk).split(b"\n")
                for raw in whole:
                    self.offsets[name] = self.offsets.get(name, 0) + len(raw) + 1
                    if name in self.skipping:
                        self.skipping.discard(name)
                    elif raw:
                        yield name, raw.decode("utf-8", "replace")
                if len(rest) > LONGEST_LINE or (name in self.skipping and rest):
                    self.offsets[name] = self.offsets.get(name, 0) + len(rest)
                    rest = b""
                    if name not in self.skipping:
                        self.skipping.add(name)
                        yield name, f"WARNING:  a log record of more than {LONGEST_LINE >> 20} MiB was left out"

    def note(self) -> None:
        """Keep the place: renamed into position, but not flushed, as losing it repeats some lines and loses none."""
        new = self.place.with_suffix(".new")
        with contextlib.suppress(OSError):
            new.write_text(json.dumps(self.offsets), encoding="utf-8")
            new.replace(self.place)

    def overgrown(self) -> bool:
        """Tell whether the file that the server writes is far beyond the size at which it should have begun another.

        Files are named by the second: a burst that goes on within one second goes on in one file.
        """
        for name in self.current():
            with contextlib.suppress(FileNotFoundError):
                if (self.directory / name).stat().st_size > OVERGROWN:
                    return True
        return False

    def give_up_excess(self) -> int:
        """Delete the oldest finished files when the directory is beyond its bound; return how many bytes were lost.

        Called by another thread than `poll`, which may hang where nobody reads the container's output.
        """
        sizes = {}
        for name in self.names():
            with contextlib.suppress(FileNotFoundError):
                sizes[name] = (self.directory / name).stat().st_size
        lost = 0
        for name in excess(sizes, finished(sorted(sizes), self.current()), BOUND):
            (self.directory / name).unlink(missing_ok=True)
            lost += sizes[name] - min(sizes[name], self.offsets.get(name, 0))
        return lost
