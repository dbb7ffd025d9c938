"""Verification, marks and pruning of backups that are there."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest


def flip(path: Path, position: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def test_a_flipped_bit_anywhere_is_found(desk: Any, given: Any) -> None:
    made = given()
    folder = desk.folder / made
    assert desk.run("verify").status == 0
    generator = random.Random(7)
    for name in ("database.dump", "globals.sql", "manifest.json"):
        size = (folder / name).stat().st_size
        for position in {0, size - 2, generator.randrange(size)}:
            flip(folder / name, position)
            done = desk.run("verify", made)
            broken = (done.status, desk.good()) == (1, [])
            flip(folder / name, position)
            # A blank between the parts of the manifest is the one thing that says nothing.
            assert broken or name == "manifest.json", f"{name} at {position}: {done.text}"
    assert desk.run("verify", made).status == 0
    assert desk.good() == [made]


@pytest.mark.parametrize("harm", ["shorter", "gone", "another's"])
def test_other_harm_is_found_and_named(desk: Any, given: Any, harm: str) -> None:
    made = given()
    dump = desk.folder / made / "database.dump"
    if harm == "shorter":
        os.truncate(dump, dump.stat().st_size * 6 // 10)
    elif harm == "gone":
        dump.unlink()
    else:
        shutil.copy2(dump.with_name("globals.sql"), dump)
    done = desk.run("verify")
    assert done.status == 1
    assert "database.dump" in done.errors
    assert desk.good() == []
    assert desk.listed()[0]["state"] == "broken"


def test_a_manifest_of_another_backup_or_signed_by_nobody_known_does_not_count(
    desk: Any, given: Any, stage: Any
) -> None:
    first, second = given(), desk.make()
    shutil.copy2(desk.folder / second / "manifest.json", desk.folder / first / "manifest.json")
    assert desk.good() == [second]
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tests.backup.conftest import pem

    other = stage.file("other-key.pem", pem(Ed25519PrivateKey.generate()))
    done = desk.run("list", "--json", BACKUP_SIGNING_KEY_FILE=other)
    assert [item["good"] for item in json.loads(done.text)] == [False, False]
    pruned = desk.run("run", BACKUP_SIGNING_KEY_FILE=other, BACKUP_KEEP_LAST="1", BACKUP_KEEP_MIN="1")
    assert pruned.status == 0
    assert {first, second} <= set(desk.names()), "what cannot be believed is nobody's to remove but a person's"


def test_pruning_keeps_what_it_says_and_a_pin_holds(desk: Any, given: Any) -> None:
    none = {"BACKUP_KEEP_DAILY": "0", "BACKUP_KEEP_WEEKLY": "0", "BACKUP_KEEP_MONTHLY": "0"}
    made = [given(), *(desk.make(BACKUP_KEEP_LAST="9") for _ in range(3))]
    assert desk.run("pin", made[0]).status == 0
    few = {**none, "BACKUP_KEEP_LAST": "1", "BACKUP_KEEP_MIN": "2"}
    told = desk.run("prune", "--dry-run", **few)
    assert [line["id"] for line in told.lines if line["event"] == "would be removed"] == [made[1]]
    assert desk.names() == made
    assert desk.run("prune", **few).status == 0
    assert desk.names() == [made[0], *made[2:]]
    assert desk.run("unpin", made[0]).status == 0
    newest = desk.make(**few)
    assert desk.names() == [made[3], newest]


def test_a_backup_that_shrank_is_suspect_until_it_is_accepted(desk: Any, given: Any) -> None:
    given()
    for _ in range(2):
        desk.make()
    desk.stage.sql("DELETE FROM t WHERE i > 10", "small")
    try:
        shrunk = desk.make(BACKUP_KEEP_LAST="1", BACKUP_KEEP_MIN="1")
        (item,) = [item for item in desk.listed() if item["id"] == shrunk]
        assert (item["state"], item["good"], "less than half" in item["trouble"]) == ("suspect", False, True)
        assert desk.run("accept", shrunk).status == 0
        assert shrunk in desk.good()
        again = desk.make()
        assert again in desk.good()
    finally:
        desk.stage.sql("TRUNCATE t; INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 2000) i", "small")


def test_a_drill_restores_again_and_is_noted(desk: Any, given: Any) -> None:
    made = given()
    assert desk.run("drill").status == 0
    (item,) = desk.listed()
    assert (item["id"], item["state"]) == (made, "drilled")
    assert json.loads((desk.folder / ".state.json").read_text())["last_drill_result"] == "success"
    assert list((desk.stage.root / "work" / desk.folder.name).iterdir()) == []


def test_a_backup_from_the_future_means_that_nothing_is_pruned(desk: Any, given: Any) -> None:
    made = [given(), desk.make(BACKUP_KEEP_LAST="9")]
    state = json.loads((desk.folder / ".state.json").read_text())
    jumped = {**state, "wall": state["wall"] - 90_000}
    (desk.folder / ".state.json").write_text(json.dumps(jumped))
    few = {"BACKUP_KEEP_LAST": "1", "BACKUP_KEEP_MIN": "1", "BACKUP_KEEP_DAILY": "0", "BACKUP_KEEP_WEEKLY": "0"}
    done = desk.run("run", **few, BACKUP_KEEP_MONTHLY="0")
    assert done.status == 0
    assert "the clock jumped by +25.0 hours" in done.text
    assert set(made) < set(desk.names())


def test_the_list_is_readable(desk: Any, given: Any) -> None:
    assert "There is no backup" in desk.run("list").text
    made = given()
    text = desk.run("list").text
    assert text.splitlines()[0].split()[:4] == ["BACKUP", "AGE", "SIZE", "ROWS"]
    assert made in text
    assert "restored" in text
