"""The stack file follows the tracked one, except where somebody set a value on this machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from setup.merge import Merged, merge
from setup.stackfile import said

keys = st.sampled_from(["a", "b", "c", "d"])
values = st.one_of(st.integers(0, 3), st.sampled_from(["x", "y"]), st.just({"secure": "v1:…"}), st.none())
configs = st.dictionaries(keys, values)


def test_a_value_nobody_touched_follows_and_one_set_here_stays() -> None:
    merged = merge(
        taken={"siteName": "Old", "replicas": 1, "logLevel": "info", "debug": True},
        mine={"siteName": "Old", "replicas": 3, "debug": True, "releaseKey": {"secure": "v1"}},
        tracked={"siteName": "New", "replicas": 2, "logLevel": "debug", "webMemory": 256},
    )
    assert merged == Merged(
        values={"siteName": "New", "replicas": 3, "releaseKey": {"secure": "v1"}, "webMemory": 256},
        followed=("debug", "siteName", "webMemory"),
        kept=("logLevel", "replicas"),
    )


def test_the_merge_is_said_in_words_that_name_the_settings() -> None:
    followed, kept = said("dev", ("scaffold:siteName",), ("scaffold:replicas",))
    assert followed == "taken from Pulumi.dev.yaml: siteName"
    assert kept.startswith("changed in Pulumi.dev.yaml and kept as set on this machine: replicas ")
    assert said("dev", (), ()) == []


@given(configs, configs)
def test_what_nobody_changed_here_becomes_the_tracked_file(
    taken: dict[str, object], tracked: dict[str, object]
) -> None:
    assert merge(taken, taken, tracked).values == tracked


@given(configs, configs)
def test_a_tracked_file_that_did_not_change_changes_nothing(taken: dict[str, object], mine: dict[str, object]) -> None:
    merged = merge(taken, mine, taken)
    assert (merged.values, merged.followed, merged.kept) == (mine, (), ())


@given(configs, configs, configs)
def test_a_value_set_here_is_never_lost(
    taken: dict[str, object], mine: dict[str, object], tracked: dict[str, object]
) -> None:
    merged = merge(taken, mine, tracked)
    for key, value in mine.items():
        if key not in taken or taken[key] != value:
            assert merged.values[key] == value
    for key in taken.keys() - mine.keys():
        assert key not in merged.values


@given(configs, configs, configs)
def test_merging_once_more_changes_nothing(
    taken: dict[str, object], mine: dict[str, object], tracked: dict[str, object]
) -> None:
    merged = merge(taken, mine, tracked)
    again = merge(tracked, merged.values, tracked)
    assert (again.values, again.followed, again.kept) == (merged.values, (), ())


@given(configs, configs, configs)
def test_every_key_that_followed_has_the_tracked_value_and_every_kept_one_mine(
    taken: dict[str, object], mine: dict[str, object], tracked: dict[str, object]
) -> None:
    merged = merge(taken, mine, tracked)
    unset = object()
    for key in merged.followed:
        assert merged.values.get(key, unset) == tracked.get(key, unset) or key not in tracked
    for key in merged.kept:
        assert merged.values.get(key) == mine.get(key)
    assert not set(merged.followed) & set(merged.kept)
