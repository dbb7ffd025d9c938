"""A dump in pg_dump's custom format: its table of contents, and whether it can be read to its end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from backup import program
from backup.error import StopError
from backup.progress import Progress
from backup.tools import Tools

ENTRY = re.compile(r"(?P<number>[0-9]+); [0-9]+ [0-9]+ (?P<rest>.*)")
FORMAT = re.compile(r";\s+Dump Version: (?P<version>\S+)")
DUMPED_BY = re.compile(r";\s+Dumped by pg_dump version: (?P<version>.*)")

# What only a superuser may make. Extensions and schemas that hold them are there before the rest is loaded.
NOT_LOADED = ("EVENT TRIGGER ", "COMMENT - EVENT TRIGGER ", "PUBLICATION ", "SUBSCRIPTION ")
MADE_BEFORE = ("EXTENSION ", "COMMENT - EXTENSION ", "SCHEMA - public ")


class Listing(NamedTuple):
    """What an archive says of itself, and its entries."""

    archive_version: str
    dumped_by: str
    entries: tuple[str, ...]


class Selection(NamedTuple):
    """The entries that a test restore loads, and what it leaves out."""

    lines: tuple[str, ...]
    left_out: tuple[str, ...]


def listing(tools: Tools, path: Path, seconds: float) -> Listing:
    """Return an archive's table of contents; raise StopError for a file that has none."""
    text = program.output([tools.command("pg_restore"), "--list", str(path)], seconds=seconds)
    return parse(text)


def parse(text: str) -> Listing:
    """Return the table of contents that pg_restore prints."""
    version, by = FORMAT.search(text), DUMPED_BY.search(text)
    entries = tuple(line for line in text.splitlines() if ENTRY.fullmatch(line))
    return Listing(version["version"] if version else "", by["version"].strip() if by else "", entries)


def read_through(tools: Tools, path: Path, seconds: float) -> None:
    """Read an archive to its end, decompressing all of it; raise StopError when that fails."""
    progress = Progress("read")
    command = [tools.command("pg_restore"), "--file=/dev/null", str(path)]
    try:
        program.run(command, seconds=seconds, tick=progress.tick)
    except StopError as error:
        raise StopError(f"{path.name}: cannot be read to its end: {error}") from None
    progress.done(bytes=path.stat().st_size)


def select(entries: Sequence[str], schemas: frozenset[str]) -> Selection:
    """Return what a test restore loads: not what exists before it (`schemas` too), nor what it cannot make."""
    lines, left_out = [], []
    for line in entries:
        found = ENTRY.fullmatch(line)
        if not found:
            continue
        rest = found["rest"]
        if rest.startswith(NOT_LOADED):
            left_out.append(rest)
        elif not rest.startswith((*MADE_BEFORE, *(f"SCHEMA - {name} " for name in schemas))):
            lines.append(line)
    return Selection(tuple(lines), tuple(left_out))
