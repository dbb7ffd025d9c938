"""Going back to the database that was live before: as safe as going forward, and no way back in for anybody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.restore.coordinate.test_kill import versions

STEPS = ("claim", "validate", "stop", "fence", "swap", "open", "upgrade", "start", "file")
FEW = ("fence:shut", "fence:handed", "swap:renamed", "swap:committed")
MANY = [f"{step}.{record}" for step in STEPS for record in ("begin:after", "done:before")]


@pytest.fixture
def restored(stage: Any) -> tuple[str, str]:
    """A stage on which a restore has just been done: what is live now, and what was before."""
    wanted, other = versions(stage)
    stage.put(stage.root / f"files/{wanted}.dump")
    done = stage.drain()
    assert stage.receipts()[0]["outcome"] == "done", done.text
    return wanted, other


def test_an_undo_brings_back_what_was_live_and_keeps_what_is(stage: Any, restored: tuple[str, str]) -> None:
    now, before = restored
    live, kept = stage.databases()["scaffold"][0], stage.databases()[stage.receipts()[0]["previous"]][0]
    stage.psql("scaffold", "INSERT INTO goods SELECT 9000 + i, 'late' FROM generate_series(1, 7) i")
    stage.psql("scaffold", "INSERT INTO consumed_messages VALUES ('i', 'since', now() + interval '1 hour')")
    asked = stage.run("undo")
    assert asked.status == 0, asked.text
    done = stage.drain()
    receipt = stage.receipts()[0]
    assert (receipt["kind"], receipt["outcome"]) == ("undo", "done"), done.text
    assert receipt["discarded"]["rows_written"] >= 7
    assert stage.content() == stage.contents[before]
    there = stage.databases()
    assert there["scaffold"][0] == kept
    assert there[receipt["previous"]] == (live, False)
    assert stage.sql("SELECT count(*) FROM consumed_messages WHERE message_id = 'since'", "scaffold") == 1
    assert stage.sql("SELECT count(*) FROM pg_class WHERE relowner = 'restore_loader'::regrole", "scaffold") == 0
    assert not stage.sql("SELECT has_database_privilege('restore_loader', 'scaffold', 'CONNECT')", "scaffold")
    stage.alive(before)
    # And forward again, to what the undo put aside.
    assert stage.run("undo", receipt["job"]).status == 0
    stage.drain()
    assert stage.databases()["scaffold"][0] == live
    assert stage.sql("SELECT count(*) FROM goods WHERE name = 'late'", "scaffold") == 7
    stage.psql("scaffold", "DELETE FROM goods WHERE name = 'late'")
    assert stage.content() == stage.contents[now]


def test_an_undo_without_anything_kept_says_so_and_does_nothing(stage: Any) -> None:
    asked = stage.run("undo", "20200101000000abcdef")
    assert asked.status == 1
    assert "is kept" in asked.text


@pytest.mark.parametrize("point", [*FEW, *(pytest.param(point, marks=pytest.mark.slow) for point in MANY)])
def test_a_kill_during_an_undo_is_ended_by_the_next_start(stage: Any, restored: tuple[str, str], point: str) -> None:
    now, before = restored
    stage.run("undo")
    died = stage.drain(FAULT_AT=point)
    assert died.status == 137, died.text
    assert stage.content() in (stage.contents[now], stage.contents[before])
    done = stage.drain()
    assert stage.content() == stage.contents[before], died.text + done.text
    assert stage.receipts()[0]["outcome"] == "done"
    stage.alive(before)
    assert stage.leftovers() == []


def test_an_undo_that_fails_leaves_what_is_live_and_what_is_kept(stage: Any, restored: tuple[str, str]) -> None:
    now, before = restored
    previous = stage.receipts()[0]["previous"]
    spoilt = "ALTER TABLE sessions RENAME TO s; CREATE VIEW sessions AS SELECT * FROM s"
    stage.psql(previous_open(stage, previous), spoilt)
    stage.psql("postgres", f'ALTER DATABASE "{previous}" ALLOW_CONNECTIONS false')
    stage.run("undo")
    done = stage.drain()
    receipt = stage.receipts()[0]
    assert receipt["outcome"] == "failed", done.text
    assert "not a plain table" in receipt["reason"]
    assert stage.content() == stage.contents[now]
    assert stage.databases()[previous][1] is False
    stage.alive()
    assert json.dumps(receipt)
    assert before


def previous_open(stage: Any, name: str) -> str:
    """Open a kept database for a moment."""
    stage.psql("postgres", f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    return name
