"""SIGKILL before and after every record of the journal and within steps, then a start: always all old or all new."""

from __future__ import annotations

import random
import subprocess
import time
from typing import Any

import pytest

STEPS = ("claim", "validate", "load", "verify", "stop", "fence", "swap", "open", "upgrade", "start", "file")
RECORDS = [f"{step}.{phase}:{when}" for step in STEPS for phase in ("begin", "done") for when in ("before", "after")]
FEW = [
    *(f"{step}.done:before" for step in STEPS),
    "claim:copied", "claim:moved", "validate.kind:before", "validate.kind:after", "validate:asked", "load:created",
    "load.made:before", "load.made:after", "load:asked", "fence:shut", "fence:handed", "swap:between", "swap:renamed",
    "swap:committed", "file:moved", "job.end:before", "job.end:after", "prune:before", "prune:after",
]  # fmt: skip


# The rest of the records; with many of them it is as with a neighbour of theirs.
MANY = [point for point in RECORDS if not point.endswith("done:before")]


@pytest.mark.parametrize("point", [*FEW, *(pytest.param(point, marks=pytest.mark.slow) for point in MANY)])
def test_a_kill_leaves_the_old_or_the_new_and_the_next_start_ends_it(stage: Any, point: str) -> None:
    struck(stage, point, "load-first")


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", [*(f"{step}.done:before" for step in STEPS), *(f"{step}.begin:after" for step in STEPS)]
)
def test_a_kill_of_a_restore_that_stops_first_is_ended_by_the_next_start_too(stage: Any, point: str) -> None:
    struck(stage, point, "stop-first")


@pytest.mark.slow
def test_kills_at_any_moment_leave_the_old_or_the_new(stage: Any) -> None:
    generator = random.Random(7)
    for _ in range(12):
        wanted, other = versions(stage)
        stage.put(stage.root / f"files/{wanted}.dump")
        for _ in range(3):
            with subprocess.Popen(stage.command("watch", "--once"), stdout=subprocess.DEVNULL) as process:
                time.sleep(generator.uniform(0.3, 4))
                stage.kill()
                process.wait(60)
            assert stage.content() in (stage.contents[wanted], stage.contents[other])
        done = stage.drain()
        assert stage.content() == stage.contents[wanted], done.text
        stage.alive(wanted)
        assert stage.leftovers() == []


def versions(stage: Any) -> tuple[str, str]:
    """The word of the data that is not live, and of that which is."""
    return ("new", "old") if stage.sql("SELECT word FROM marker", "scaffold") == "old" else ("old", "new")


def struck(stage: Any, point: str, order: str) -> None:
    """Kill a restore at a point and look at everything, before the service is started again and after it."""
    wanted, other = versions(stage)
    old, new = stage.contents[other], stage.contents[wanted]
    assert stage.content() == old
    live = stage.databases()["scaffold"][0]
    receipts, asked = len(stage.receipts()), len(stage.asked())
    stage.put(stage.root / f"files/{wanted}.dump")
    died = stage.drain(FAULT_AT=point, RESTORE_ORDER=order)
    assert died.status == 137, died.text
    assert stage.content() in (old, new), "never anything between"
    done = stage.drain(RESTORE_ORDER=order)
    assert done.status == 0, done.text
    text = died.text + done.text
    assert stage.content() == new, text
    assert len(stage.receipts()) == receipts + 1, text
    receipt = stage.receipts()[0]
    assert (receipt["outcome"], receipt["reason"]) == ("done", ""), text
    there = stage.databases()
    assert there[receipt["previous"]] == (live, False), "what was live before is kept, and shut"
    assert stage.content(receipt["previous"]) == old
    assert stage.leftovers() == [], text
    stage.alive(wanted)
    assert len(stage.asked()) - asked <= 4, "nothing is stopped and started again and again"
