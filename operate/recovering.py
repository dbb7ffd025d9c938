"""A recovery that was begun and not ended: with which kit, and how far it has come."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from setup.files import read_text_or_none, write_atomically
from setup.places import Places
from setup.problem import Problem


@dataclass(frozen=True)
class Begun:
    """A recovery: the kit's digest, the backup that is loaded, and whether the state is in place."""

    kit: str
    backup: str
    state: bool = False


def file_of(places: Places, stack: str) -> Path:
    """Return the file that is there while a recovery of the stack has not ended."""
    return places.state / "stacks" / f"{stack}.recovering.json"


def read(places: Places, stack: str) -> Begun | None:
    """Return the recovery of the stack that has not ended, or None; one that cannot be read has just begun."""
    text = read_text_or_none(file_of(places, stack))
    if text is None:
        return None
    try:
        return Begun(**json.loads(text))
    except (ValueError, TypeError):
        return Begun("", "")


def write(places: Places, stack: str, begun: Begun) -> None:
    """Keep how far the recovery has come."""
    write_atomically(file_of(places, stack), json.dumps(asdict(begun)).encode(), 0o600)


def end(places: Places, stack: str) -> None:
    """Say that the recovery has ended."""
    file_of(places, stack).unlink(missing_ok=True)


def unended(places: Places, stack: str) -> Problem | None:
    """Return why nothing else may be done with the stack before its recovery has ended."""
    if read(places, stack) is None:
        return None
    return Problem(
        f"A recovery of the stack {stack} was begun and has not ended: its database may be empty still.",
        f"go on with it: make recover STACK={stack} KIT=FILE IDENTITY=KEYFILE; "
        f"to go on without what is in the backups, remove {file_of(places, stack)}",
    )
