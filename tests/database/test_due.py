"""Which backup is due when, and whether the clock is believed."""

from __future__ import annotations

import pytest
from server import due
from server.archiving import Archiving
from server.reach import Backup

DAY = 86_400
PLAN = Archiving(hour=2, full_days=7, diff_days=1, keep_days=14, queue_mb=64, segment_seconds=30)
NIGHT = 20_000 * DAY + 2 * 3600  # two o'clock


def made(kind: str, began: float) -> Backup:
    """A backup that began then."""
    return Backup(kind, kind, 1, 1, 2, began, began + 60, 1000)


FULL = made("full", NIGHT + 5)


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        (3600, ""),
        (DAY - 6, ""),
        (DAY, "diff"),
        (6 * DAY + 1, "diff"),
        (7 * DAY - 6, "diff"),
        (7 * DAY, "full"),
        (30 * DAY, "full"),
    ],
)
def test_days_are_counted_from_the_hour_and_what_was_missed_is_due_at_once(after: int, wanted: str) -> None:
    assert due.kind(NIGHT + after, [FULL], PLAN, gap=False) == wanted


def test_a_timeline_without_a_full_backup_gets_one_at_once() -> None:
    assert due.kind(NIGHT, [], PLAN, gap=False) == "full"
    assert due.kind(NIGHT, [made("diff", NIGHT)], PLAN, gap=False) == "full"


def test_a_gap_is_answered_with_a_full_backup() -> None:
    assert due.kind(NIGHT + 10, [FULL], PLAN, gap=True) == "full"


def test_one_differential_a_day_is_enough_and_none_are_made_without_days() -> None:
    daily = [FULL, made("diff", NIGHT + DAY + 5)]
    assert due.kind(NIGHT + DAY + 3600, daily, PLAN, gap=False) == ""
    assert due.kind(NIGHT + 2 * DAY, daily, PLAN, gap=False) == "diff"
    assert due.kind(NIGHT + 2 * DAY, [FULL], PLAN._replace(diff_days=0), gap=False) == ""


@pytest.mark.parametrize(
    ("before", "believed"),
    [(None, False), (NIGHT - DAY, True), (NIGHT - 15 * DAY, True), (NIGHT - 16 * DAY, False), (NIGHT + 60, False)],
)
def test_nothing_is_given_up_after_a_clock_that_jumped(before: float | None, believed: bool) -> None:
    assert due.may_expire(NIGHT, before, PLAN) is believed
