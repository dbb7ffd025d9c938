"""What can be reached of an archive: spans of time, ways to a moment, gaps, and timelines that replaced each other."""

from __future__ import annotations

import pytest
from server import reach
from server.reach import Archive, Backup, Way, Window


def backup(label: str, first: int, ended: float, timeline: int = 1, kind: str = "full") -> Backup:
    """A backup of two segments that took a second."""
    return Backup(label, kind, timeline, first, first + 1, ended - 1, ended, 1000)


def archive(
    *segments: int, ancestors: dict[int, list[tuple[int, int]]] | None = None, **more: dict[int, float]
) -> Archive:
    """Timeline 1 with segments that were each archived at ten times their number; `t2` and on are more timelines."""
    found = {1: {number: number * 10.0 for number in segments}}
    found |= {int(name.removeprefix("t")): times for name, times in more.items()}
    return Archive(found, ancestors or {})


BASE = backup("base", 2, 35)
LATER = backup("later", 6, 75)
WHOLE = archive(*range(1, 11))
HOLE = archive(1, 2, 3, 4, 6, 7, 8)
FORKED = archive(*range(1, 8), ancestors={2: [(1, 5)]}, t2={5: 100.0, 6: 110.0, 7: 120.0})


def test_from_the_end_of_the_first_backup_on_everything_is_reached() -> None:
    assert reach.windows([LATER, BASE], WHOLE) == [Window(1, 35, 100)]
    assert list(reach.gaps([BASE, LATER], WHOLE)) == []


@pytest.mark.parametrize(("moment", "label"), [(35, "base"), (74, "base"), (75, "later"), (100, "later")])
def test_the_way_to_a_moment_begins_at_the_newest_backup_before_it(moment: float, label: str) -> None:
    way = reach.way_to(moment, [BASE, LATER], WHOLE)
    assert way is not None
    assert way.backup.label == label


@pytest.mark.parametrize("moment", [0, 34.9, 100.1, 5000])
def test_before_the_oldest_backup_and_after_the_end_nothing_is_reached(moment: float) -> None:
    assert reach.way_to(moment, [BASE, LATER], WHOLE) is None


def test_a_gap_splits_what_is_reached_and_no_moment_in_it_is() -> None:
    backups = [BASE, LATER]
    assert reach.windows(backups, HOLE) == [Window(1, 35, 40), Window(1, 75, 80)]
    assert list(reach.gaps(backups, HOLE)) == [(1, 5, 5)]
    assert reach.way_to(40, backups, HOLE) == Way(BASE, 1, 4)
    assert reach.way_to(50, backups, HOLE) is None
    assert reach.way_to(74.9, backups, HOLE) is None
    assert reach.way_to_latest(backups, HOLE) == Way(LATER, 1, 8)


def test_behind_a_gap_without_a_backup_after_it_the_end_is_not_reached() -> None:
    assert reach.way_to_latest([BASE], HOLE) is None


def test_a_backup_that_lacks_a_segment_of_its_own_leads_nowhere() -> None:
    lacking = archive(1, 2, 4, 5)
    assert reach.windows([BASE], lacking) == []
    assert reach.way_to(45, [BASE], lacking) is None


def test_what_lies_before_the_oldest_backup_is_no_gap() -> None:
    assert list(reach.gaps([LATER], archive(1, 3, 6, 7, 8))) == []


def test_without_backups_or_segments_there_is_no_way_and_no_error() -> None:
    nothing = Archive({}, {})
    assert reach.windows([], nothing) == []
    assert reach.way_to(1, [], nothing) is None
    assert reach.way_to_latest([BASE], nothing) is None


def test_a_new_timeline_is_reached_from_a_backup_of_the_one_that_it_left() -> None:
    assert reach.way_to(110, [BASE], FORKED) == Way(BASE, 2, 7)
    assert reach.way_to_latest([BASE], FORKED) == Way(BASE, 2, 7)
    assert reach.windows([BASE], FORKED) == [Window(1, 35, 70), Window(2, 100, 120)]


def test_what_a_later_timeline_replaced_is_reached_along_the_old_one() -> None:
    assert reach.way_to(60, [BASE], FORKED) == Way(BASE, 1, 7)


def test_a_backup_from_after_the_fork_leads_to_nothing_of_the_new_timeline() -> None:
    after = backup("after", 5, 65)
    assert reach.stretch(FORKED, after, 2) is None
    assert reach.way_to(115, [after], FORKED) is None
    assert reach.way_to(65, [after], FORKED) == Way(after, 1, 7)


def test_between_two_timelines_nothing_lived_and_nothing_is_reached() -> None:
    assert reach.way_to(85, [BASE], FORKED) is None


def test_an_old_timeline_that_lives_again_is_the_one_that_is_reached_then() -> None:
    again = archive(*range(1, 8), ancestors={2: [(1, 5)]}, t2={5: 100.0, 6: 110.0})
    again = Archive({1: {**again.segments[1], 8: 130.0, 9: 140.0}, 2: again.segments[2]}, again.ancestors)
    assert reach.way_to(135, [BASE], again) == Way(BASE, 1, 9)
    assert reach.way_to(105, [BASE], again) == Way(BASE, 2, 6)
    assert reach.way_to_latest([BASE], again) == Way(BASE, 1, 9)


def test_a_history_file_tells_where_each_timeline_was_left() -> None:
    history = "1\t0/5000028\tbefore 2026-11-22 14:05:00+00\n\n2\t1/0\tno recovery target specified\n"
    assert reach.ancestors_in(history) == [(1, 5), (2, 256)]


def test_along_a_timeline_the_segments_before_it_are_its_ancestors() -> None:
    assert [FORKED.holder(2, segment) for segment in (4, 5, 6)] == [1, 2, 2]
    assert FORKED.holder(1, 4) == 1
