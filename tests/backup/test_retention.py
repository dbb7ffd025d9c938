"""Retention, as a plan: what it keeps whatever has happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backup import clock, retention
from backup.retention import Candidate, Policy, Size

START = datetime(2026, 1, 1, 3, tzinfo=UTC)
HOURS = st.integers(0, 24 * 800)
CANDIDATES = st.lists(st.tuples(HOURS, st.booleans(), st.integers(0, 9)), max_size=60).map(
    lambda rows: [
        Candidate(f"{hours:06}-{number}", START + timedelta(hours=hours), good, pin == 0)
        for number, (hours, good, pin) in enumerate(rows)
    ]
)
COUNT = st.integers(0, 6)
POLICIES = st.builds(
    Policy, last=st.integers(1, 5), daily=COUNT, weekly=COUNT, monthly=COUNT, yearly=COUNT, minimum=st.integers(1, 6)
)


def newest_good(candidates: list[Candidate]) -> list[str]:
    good = sorted((item for item in candidates if item.good), key=lambda item: (item.at, item.id), reverse=True)
    return [item.id for item in good]


@given(CANDIDATES, POLICIES)
def test_the_newest_good_ones_and_pinned_ones_are_always_kept(candidates: list[Candidate], policy: Policy) -> None:
    decided = retention.plan(candidates, policy, UTC)
    assert set(newest_good(candidates)[: policy.minimum]) <= set(decided.keep)
    assert {item.id for item in candidates if item.pinned} <= set(decided.keep)
    assert set(decided.keep) | set(decided.remove) == {item.id for item in candidates}
    assert not set(decided.keep) & set(decided.remove)


@given(CANDIDATES, POLICIES)
def test_what_is_not_good_decides_nothing_about_what_is(candidates: list[Candidate], policy: Policy) -> None:
    good = [item for item in candidates if item.good]
    everything, alone = (retention.plan(items, policy, UTC) for items in (candidates, good))
    assert {item.id for item in good} & set(everything.keep) == set(alone.keep)


@given(CANDIDATES, POLICIES)
def test_a_second_pruning_removes_nothing_more(candidates: list[Candidate], policy: Policy) -> None:
    first = retention.plan(candidates, policy, UTC)
    left = [item for item in candidates if item.id in first.keep]
    assert retention.plan(left, policy, UTC).remove == ()


@given(CANDIDATES, POLICIES)
def test_what_is_not_good_goes_only_when_enough_good_ones_are_newer(
    candidates: list[Candidate], policy: Policy
) -> None:
    for identifier in retention.plan(candidates, policy, UTC).remove:
        gone = next(item for item in candidates if item.id == identifier)
        if not gone.good:
            assert sum(item.good and item.at > gone.at for item in candidates) >= policy.minimum


@given(CANDIDATES, POLICIES)
def test_each_period_that_has_a_good_one_keeps_one_until_their_number_is_reached(
    candidates: list[Candidate], policy: Policy
) -> None:
    decided = retention.plan(candidates, policy, UTC)
    days = sorted({item.at.date() for item in candidates if item.good}, reverse=True)[: policy.daily]
    kept = {item.at.date() for item in candidates if item.id in decided.keep and item.good}
    assert set(days) <= kept


def test_ten_failing_days_with_a_retention_of_seven_keep_the_last_good_ones() -> None:
    policy = Policy(last=1, daily=7, weekly=0, monthly=0, minimum=3)
    week = [Candidate(f"good-{day}", START + timedelta(days=day), good=True) for day in range(7)]
    # Runs that made something that does not count, day after day; then one that succeeds, after which is pruned.
    failing = [Candidate(f"bad-{day}", START + timedelta(days=day), good=False) for day in range(7, 17)]
    assert retention.plan([*week, *failing], policy, UTC).remove == ()
    again = Candidate("again", START + timedelta(days=17), good=True)
    decided = retention.plan([*week, *failing, again], policy, UTC)
    assert decided.remove == ("good-0",), "seven days that have a good one: the new one and six of before"


def test_a_series_of_suspects_never_pushes_a_good_one_out() -> None:
    good = [Candidate(f"good-{hour}", START + timedelta(hours=hour), good=True) for hour in range(3)]
    suspect = [Candidate(f"s-{day}", START + timedelta(days=day), good=False) for day in range(1, 400)]
    decided = retention.plan([*good, *suspect], Policy(last=3, daily=7), UTC)
    assert {item.id for item in good} <= set(decided.keep)


def test_days_are_those_of_the_time_zone() -> None:
    from zoneinfo import ZoneInfo

    late = Candidate("late", datetime(2026, 6, 1, 21, 30, tzinfo=UTC), good=True)
    early = Candidate("early", datetime(2026, 6, 1, 22, 30, tzinfo=UTC), good=True)
    policy = Policy(last=1, daily=2, weekly=0, monthly=0, minimum=1)
    assert retention.plan([late, early], policy, UTC).remove == ("late",)
    assert retention.plan([late, early], policy, ZoneInfo("Europe/Berlin")).remove == ()


SIZES = st.lists(st.builds(Size, st.integers(1, 10**9), st.integers(0, 10**6), st.booleans()), max_size=12)


@given(SIZES, st.integers(1, 10**9), st.integers(0, 10**6))
def test_what_is_as_large_as_all_before_it_is_never_suspect(before: list[Size], size: int, rows: int) -> None:
    now = Size(max([size, *(item.bytes for item in before)]), max([rows, *(item.rows for item in before)]))
    assert retention.suspicion(before, now) == ""


def test_less_than_half_of_the_median_is_suspect_until_somebody_accepts_it() -> None:
    before = [Size(1000, 100), Size(1100, 110), Size(900, 90), Size(5, 1000)]
    assert "400 bytes" in retention.suspicion(before, Size(400, 100))
    assert "10 rows" in retention.suspicion(before, Size(1000, 10))
    assert retention.suspicion(before, Size(600, 60)) == ""
    assert retention.suspicion([], Size(1, 0)) == ""
    accepted = [*before, Size(300, 30, accepted=True)]
    assert retention.suspicion([*accepted, Size(310, 31), Size(320, 32)], Size(300, 30)) == ""


def test_a_clock_that_went_back_or_jumped_is_not_believed() -> None:
    before = clock.Reading(1000.0, 50.0, "boot")
    assert clock.trouble(before, clock.Reading(5000.0, 4050.0, "boot"), None) == ""
    assert "jumped by +10.0 hours" in clock.trouble(before, clock.Reading(5000.0 + 36_000, 4050.0, "boot"), None)
    assert clock.trouble(before, clock.Reading(999_999.0, 5.0, "another"), None) == ""
    assert clock.trouble(None, clock.Reading(5000.0, 5.0, "boot"), None) == ""
    future = datetime.fromtimestamp(9000, UTC)
    assert "went back" in clock.trouble(None, clock.Reading(5000.0, 5.0, "boot"), future)
