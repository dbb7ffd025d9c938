"""What the server tells of its disk's room is never far from what is so."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from server.room import NAME, STEP_BYTES, Room


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on a disk on which nobody else writes much."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)


def told(folder: Path) -> int:
    """Return the free bytes that are told."""
    count: int = json.loads((folder / NAME).read_text())["free_bytes"]
    return count


def test_a_disk_that_fills_is_told_of_at_once_and_one_that_does_not_now_and_then(folder: Path) -> None:
    room = Room(folder)
    room.tick()
    first, file = told(folder), (folder / NAME).stat().st_ino
    room.tick()
    assert (folder / NAME).stat().st_ino == file
    (folder / "load").write_bytes(bytes(2 * STEP_BYTES))
    room.tick()
    assert told(folder) <= first - STEP_BYTES
    (folder / "load").unlink()
    room.tick()
    assert told(folder) > first - STEP_BYTES
