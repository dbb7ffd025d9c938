"""The app's keys: which versions are handed out together, and where each is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.secrets import key_slot
from infra.settings import SettingsError, read
from tests.infra.test_settings import DEVELOPMENT, RELEASE_KEY

LONG = "k3y-0123456789-abcdefghijklmnopqrstuvwxyz"
LIST = f'["{LONG}"]'


@given(st.integers(2, 10_000))
def test_a_key_its_predecessor_and_the_next_one_are_kept_apart(version: int) -> None:
    assert len({key_slot("secret-key", each) for each in (version - 1, version, version + 1)}) == 3


@given(st.integers(2, 10_000))
def test_counting_up_makes_a_new_key_only_where_the_last_but_one_was(version: int) -> None:
    before = {key_slot("k", each): each for each in (version - 1, version, version + 1)}
    after = {key_slot("k", each): each for each in (version, version + 1, version + 2)}
    changed = {slot for slot in after if before[slot] != after[slot]}
    assert changed == {key_slot("k", version - 1)}


def test_the_first_key_is_where_it_always_was() -> None:
    assert key_slot("secret-key", 1) == "secret-key"


def test_former_keys_are_a_list_of_long_ones() -> None:
    own = {"secretKey": LONG, "releaseKey": RELEASE_KEY}
    assert read(DEVELOPMENT | own | {"secretKeyFallbacks": LIST}).keys.secret_key_fallbacks is not None
    for wrong in (LONG, '["x"]', "[]", "{}", "[1]"):
        with pytest.raises(SettingsError, match="secretKeyFallbacks"):
            read(DEVELOPMENT | own | {"secretKeyFallbacks": wrong})


@pytest.mark.parametrize(("others", "own"), [("secretKeyFallbacks", "secretKey"), ("factorKeyFallbacks", "factorKey")])
def test_former_keys_without_one_of_ones_own_are_refused(others: str, own: str) -> None:
    with pytest.raises(SettingsError, match=f"{others}: set without {own}"):
        read(DEVELOPMENT | {others: LIST, "releaseKey": RELEASE_KEY})
