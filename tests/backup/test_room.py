"""Room for a backup: looked at before anything is written, and watched while it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup import room
from backup.error import StopError
from backup.manifest import Manifest
from backup.room import Room

LAST = Manifest(
    id="20261126T033000Z-aaaaaa",
    database="shop",
    kind="postgres",
    created="2026-11-26T03:30:00+00:00",
    finished="2026-11-26T03:31:00+00:00",
    tool_version="1",
    files=(),
    server={},
    snapshot={},
    contents={},
    verify={"sizes": {"database_bytes": 1000, "dump_bytes": 100, "restored_bytes": 700}},
)
SIZES = st.integers(0, 10**15)


def test_what_the_last_one_took_says_what_the_next_one_takes() -> None:
    assert room.for_dump(1000, LAST, sealed=False) == 120
    assert room.for_dump(2000, LAST, sealed=False) == 240
    assert room.for_dump(10, LAST, sealed=False) == 120, "a database that was emptied has not been vacuumed yet"
    assert room.for_dump(1000, LAST, sealed=True) == 240, "in the clear and encrypted, side by side"
    assert room.for_restore(1000, LAST) == room.SERVER + 840


@given(SIZES, st.booleans())
def test_a_first_one_or_one_after_an_older_image_wants_a_part_of_the_database(size: int, sealed: bool) -> None:
    older = replace(LAST, verify={"level": "restored"})
    assert room.for_dump(size, None, sealed=sealed) == room.for_dump(size, older, sealed=sealed) <= size
    assert room.SERVER <= room.for_restore(size, None) == room.for_restore(size, older) <= room.SERVER + size


def test_folders_on_one_disk_share_what_it_has(tmp_path: Path) -> None:
    free = room.left(tmp_path)
    some = Room(tmp_path / "not" / "there" / "yet", free * 2 // 3, "the dump")
    room.check([some])
    with pytest.raises(StopError, match="too little room") as refused:
        room.check([some, Room(tmp_path, free * 2 // 3, "the test restore")])
    for words in ("the dump", "the test restore", str(tmp_path), "backupFolder"):
        assert words in str(refused.value)


def test_too_little_for_the_dump_is_refused_with_what_there_is_and_nothing_else_changes(
    desk: Any, stage: Any, latin: str
) -> None:
    place = {"BACKUP_DIR": "/small/little"}
    stage.docker("exec", stage.name, "mkdir", "-p", "/small/little")
    kept = desk.make(**place, DATABASE_URL_FILE="", DATABASE_URL=stage.url(latin))
    stage.docker("exec", stage.name, "sh", "-c", "head -c 3800000 /dev/zero > /small/others")
    try:
        done = desk.run("run", **place)
        assert done.status == 1
        assert "too little room: " in done.errors
        assert "for the dump in /small/little" in done.errors
        assert "dump: done" not in done.text
        left = stage.docker("exec", stage.name, "ls", "-A", "/small/little").split()
        assert left == [".last.json", ".lock", ".state.json", kept]
        assert desk.run("verify", **place).status == 0
    finally:
        stage.docker("exec", stage.name, "rm", "-rf", "/small/little", "/small/others")


def test_too_little_for_the_test_restore_is_refused_before_the_dump(desk: Any, given: Any, stage: Any) -> None:
    done = desk.run("run", BACKUP_WORK_DIR="/small/work")
    assert done.status == 1
    assert "for the test restore in /small/work" in done.errors
    assert "dump: done" not in done.text
    assert desk.names() == []
    made = given()
    done = desk.run("drill", BACKUP_WORK_DIR="/small/work")
    assert (done.status, "for the test restore in /small/work" in done.errors) == (1, True)
    assert desk.good() == [made], "the backup is none the worse"
    assert stage.docker("exec", stage.name, "sh", "-c", "ls -A /small").split() in ([], ["work"])
