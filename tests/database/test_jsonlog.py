"""PostgreSQL's records as log lines, with no value left in them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server import jsonlog

VALUE = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def plain(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def escaped(value: str) -> str:
    return "E'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def dollar(value: str) -> str:
    return f"$q${value.replace('$', '')}$q$"


@given(st.lists(st.tuples(st.sampled_from([plain, escaped, dollar]), VALUE), max_size=6))
def test_only_strings_are_masked_whatever_they_hold(parts: list[tuple[Callable[[str], str], str]]) -> None:
    literals = [quote(value) for quote, value in parts]
    text = "SELECT " + ", ".join(f"a{index} = {literal}" for index, literal in enumerate(literals))
    clean = "SELECT " + ", ".join(f"a{index} = {jsonlog.MASK}" for index in range(len(literals)))
    assert jsonlog.masked(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("SELECT 1 -- don't\n, 'x'", "SELECT 1 -- don't\n, '…'"),
        ("SELECT /* it's */ 'x'", "SELECT /* it's */ '…'"),
        ("""SELECT "o'brien", 'x'""", """SELECT "o'brien", '…'"""),
        ("SELECT $1, tab$1.x, 'x'", "SELECT $1, tab$1.x, '…'"),
        ("ALTER ROLE a PASSWORD 'unfinis", "ALTER ROLE a PASSWORD '…'"),
        ("SELECT 'C:\\', 'x'", "SELECT '…', '…'"),
    ],
)
def test_comments_names_and_parameters_stay(text: str, clean: str) -> None:
    assert jsonlog.masked(text) == clean


@given(st.dictionaries(st.sampled_from(["message", "detail", "statement", "context", "state_code", "pid"]), st.text()))
def test_every_record_becomes_a_line(record: dict[str, str]) -> None:
    fields = jsonlog.parse(json.dumps(record))
    assert list(fields)[:4] == ["timestamp", "level", "logger", "event"]


@given(st.text())
def test_text_that_is_no_record_becomes_a_message(text: str) -> None:
    assert jsonlog.early(text)["logger"] == "database"


def test_output_before_the_collector_keeps_its_time_level_and_process() -> None:
    fields = jsonlog.early("2025-03-01 10:11:12.345 UTC [21] FATAL:  could not create lock file")
    assert fields == {
        "timestamp": "2025-03-01T10:11:12.345Z", "level": "error", "logger": "database",
        "event": "could not create lock file", "pid": 21,
    }  # fmt: skip


def test_a_long_text_is_cut_and_its_length_told() -> None:
    assert str(jsonlog.parse(json.dumps({"message": "x" * 20_000}))["event"]).endswith("… (20000 characters)")
