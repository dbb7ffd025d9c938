"""How the ledger is shown: to people within the width of their terminal, to programs with every field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaffold import ledger, listing

MOMENT = datetime(2026, 11, 25, 19, 46, 31, tzinfo=UTC)
FULL = {
    "id": 7,
    "release": "3f2a91bc04",
    "digest": "registry.example.org/site/app@sha256:" + "ab12" * 16,
    "revision": "8a649ff0c1d2e3f4",
    "started_by": "Ada Lovelace of the operations team",
    "bundle": "1b2c3d4e5f",
    "schema_before": "0001",
    "schema_after": "0002",
    "started_at": MOMENT,
    "served_at": MOMENT,
    "ended_at": MOMENT,
    "outcome": "migration failed",
}
EMPTY = {
    **dict.fromkeys(FULL),
    "id": 1,
    "release": "a1",
    "started_at": MOMENT,
    "outcome": "migrating",
}


def headings(rows: list[dict[str, Any]], width: int) -> list[str]:
    """Return a table's headings."""
    first = listing.table(rows, width).splitlines()[0]
    return [word.strip() for word in first.split("  ") if word.strip()]


def test_a_wide_terminal_shows_everything_with_short_ids_and_utc() -> None:
    heading, line = listing.table([FULL], 200).splitlines()
    assert heading.split() == ["RELEASE", "OUTCOME", "STARTED", "(UTC)", "SERVED", "ENDED", "SCHEMA", "REVISION",
                               "IMAGE", "BY", "PINNED"]  # fmt: skip
    for cell in ("3f2a91bc04", "2026-11-25 19:46", "0001 → 0002", "8a649ff0", "ab12ab12ab12", "Ada Lovelace of the…"):
        assert cell in line
    assert "8a649ff0c" not in line


def test_columns_that_hold_nothing_are_left_out() -> None:
    assert headings([EMPTY], 200) == ["RELEASE", "OUTCOME", "STARTED (UTC)", "SCHEMA"]


@pytest.mark.parametrize(("width", "least"), [(160, 10), (120, 7), (100, 6), (80, 4), (40, 2)])
def test_a_narrow_terminal_loses_what_matters_least_first(width: int, least: int) -> None:
    shown = headings([FULL, EMPTY], width)
    assert shown[:2] == ["RELEASE", "OUTCOME"]
    assert len(shown) >= least
    assert max(map(len, listing.table([FULL, EMPTY], width).splitlines())) <= width


text = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=40)
moments = st.none() | st.datetimes(timezones=st.just(UTC))
ROWS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("digest", "revision", "started_by", "bundle", "schema_before", "schema_after"), text),
        "id": st.integers(1),
        "release": st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128),
        "started_at": st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        "served_at": moments,
        "ended_at": moments,
        "outcome": st.sampled_from(ledger.OUTCOMES),
    }
)


@given(st.lists(ROWS, min_size=1, max_size=6), st.integers(30, 200))
def test_every_row_has_a_line_that_fits(rows: list[dict[str, Any]], width: int) -> None:
    lines = listing.table(rows, width).split("\n")
    assert len(lines) == len(rows) + 1
    assert max(map(len, lines)) <= max(width, 12 + 2 + 16)


def test_programs_get_every_field() -> None:
    (row,) = json.loads(listing.document([FULL]))
    assert row == {**FULL, **dict.fromkeys(("started_at", "served_at", "ended_at"), "2026-11-25T19:46:31Z")}
    assert json.loads(listing.document([])) == []
