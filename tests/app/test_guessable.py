"""Which passwords may be chosen."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaffold.guessable import LONGEST, SHORTEST, weakness

KNOWN = ("Scaffold", "https://www.example.org", "ada.lovelace@example.org", "Ada Lovelace")


@pytest.mark.parametrize(
    "password",
    [
        "password1234567",
        "Password2024!!!",
        "passwordpassword",
        "p@ssw0rdp@ssw0rd",
        "qwertyuiopasdfgh",
        "abcdefghijklmnop",
        "123456789012345",
        "aaaaaaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabc",
        "iloveyouiloveyou",
        "scaffold-2026-scaffold",
        "adalovelace2026!",
        "AdaLovelace@example.org",
        "letmein letmein 99",
        "correct horse battery staple",
        "lkjhgfdsapoiuytrewq",
    ],
)
def test_what_people_try_first_is_refused_however_long(password: str) -> None:
    assert weakness(password, KNOWN) is not None


@pytest.mark.parametrize(
    "password",
    [
        "violet tractors hum quietly",
        "ünïcödé wörds gö häppily",
        "gravel!Otter?Mauve=Quince",
        "x7Kq2vLm9TzRw4Yb",
        "мой дядя самых честных правил",
        "山の上に古い城が静かに立っていました",
        " spaces are kept as they are ",
    ],
)
def test_what_nobody_tries_first_may_be_chosen(password: str) -> None:
    assert weakness(password, KNOWN) is None


def test_the_bounds_are_fifteen_and_a_hundred_and_twenty_eight() -> None:
    words = (
        "gravel otter mauve quince tidal lamp forge cedar plinth wharf nickel apron sable dune crisp vole amber knot "
    )
    words += "ripple tusk fjord tweed"
    assert weakness(words[: SHORTEST - 1]) is not None
    assert weakness(words[:SHORTEST]) is None
    assert weakness(words[:LONGEST]) is None
    assert weakness((words * 2)[: LONGEST + 1]) is not None


def test_what_cannot_be_seen_is_refused() -> None:
    assert weakness("gravel otter\tmauve quince") is not None
    assert weakness("gravel otter\x00mauve quince") is not None


@given(st.text(max_size=300))
def test_any_text_is_judged_and_quickly(text: str) -> None:
    began = time.process_time()
    found = weakness(text, KNOWN)
    assert found is None or found.endswith(".")
    assert time.process_time() - began < 0.5
