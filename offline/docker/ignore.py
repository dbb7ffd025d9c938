"""Reads .dockerignore, by the rules of Docker's own matcher: the last pattern that matches decides."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = ".dockerignore"


@dataclass(frozen=True)
class _Pattern:
    text: str
    regex: re.Pattern[str]
    includes: bool


@dataclass(frozen=True)
class Ignore:
    """What stays out of a build context."""

    patterns: tuple[_Pattern, ...] = ()

    @staticmethod
    def of(root: Path, keep: Sequence[str] = ()) -> Ignore:
        """Return the rules of a folder; the daemon needs .dockerignore and the files to `keep`, so they stay in."""
        path = root / FILE
        if not path.is_file():
            return Ignore()
        written = parse(path.read_text(encoding="utf-8-sig"))
        return Ignore((*written, *(_pattern(f"!{name}") for name in (FILE, *keep))))

    def excludes(self, name: str) -> bool:
        """Say whether a path, relative and with slashes, stays out: by a pattern for it or for a folder above it."""
        excluded = False
        above = [name, *_parents(name)]
        for pattern in self.patterns:
            if pattern.includes == excluded and any(pattern.regex.match(path) for path in above):
                excluded = not pattern.includes
        return excluded

    def may_include_below(self, name: str) -> bool:
        """Say whether a folder that stays out may hold something that a later pattern takes in again."""
        return any(
            pattern.includes and ("*" in pattern.text or f"{pattern.text}/".startswith(f"{name}/"))
            for pattern in self.patterns
        )


def parse(text: str) -> tuple[_Pattern, ...]:
    """Return the patterns of a .dockerignore file."""
    lines = (line.strip() for line in text.splitlines() if not line.startswith("#"))
    return tuple(_pattern(line) for line in lines if line not in ("", "!", "."))


def _pattern(line: str) -> _Pattern:
    includes = line.startswith("!")
    text = posixpath.normpath(line.removeprefix("!").strip()).lstrip("/")
    return _Pattern(text, re.compile(_regex(text)), includes)


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]


def _regex(text: str) -> str:
    """Translate a pattern: `**` is any number of folders, `*` and `?` stay within a name."""
    result = ["^"]
    position = 0
    while position < len(text):
        character = text[position]
        if text.startswith("**", position):
            position += 2
            if text.startswith("/", position):
                position += 1
            result.append(".*" if position >= len(text) else "(.*/)?")
            continue
        if character == "*":
            result.append("[^/]*")
        elif character == "?":
            result.append("[^/]")
        elif character == "[" and "]" in text[position + 2 :]:
            end = text.index("]", position + 2)
            inner = text[position + 1 : end].replace("\\", "\\\\")
            result.append(f"[{'^' + inner[1:] if inner.startswith('!') else inner}]")
            position = end
        elif character == "\\" and position + 1 < len(text):
            position += 1
            result.append(re.escape(text[position]))
        else:
            result.append(re.escape(character))
        position += 1
    return "".join(result) + "$"
