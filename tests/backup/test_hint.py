"""The next command that a message names: what somebody can type where they read it."""

from __future__ import annotations

from typing import Any

import pytest

from backup import hint
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (("run",), "make backup"),
        (("list",), "make backups"),
        (("accept", "20261126T033000Z-aaaaaa"), "make backups ARGS='accept 20261126T033000Z-aaaaaa'"),
    ],
)
def test_a_command_is_told_as_it_is_given_where_its_reader_is(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], verb: str
) -> None:
    monkeypatch.delenv("LOG_FORMAT", raising=False)
    assert hint.command(*words) == f"python -m backup {' '.join(words)}"
    monkeypatch.setenv("LOG_FORMAT", "text")
    assert hint.command(*words) == verb


def test_no_message_writes_a_command_by_itself() -> None:
    written = [path.name for path in (ROOT / "backup" / "backup").glob("*.py") if "-m backup " in path.read_text()]
    assert written == ["__main__.py"], "messages take it from hint"


def test_who_typed_make_is_told_of_make(desk: Any) -> None:
    assert "Make one: make backup\n" in desk.run("list", LOG_FORMAT="text").text
    assert "See those that are: make backups\n" in desk.run("show", "20200101T000000Z-aaaaaa", LOG_FORMAT="text").text
    assert "Make one: python -m backup run\n" in desk.run("list").text
