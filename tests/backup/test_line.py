"""Log lines: JSON for programs, words for the person who typed the command."""

from __future__ import annotations

import json

import pytest

from backup import line


def test_a_line_is_json_unless_a_person_asked_for_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line.say("info", "dump: done", seconds=0.2, tables=20)
    monkeypatch.setenv("LOG_FORMAT", "text")
    line.say("info", "dump: done", seconds=0.2, tables=20, suspect=None)
    line.say("debug", "kept")
    line.say("error", "it \x1b[2J broke\nhere")
    first, *rest = capsys.readouterr().out.splitlines()
    assert json.loads(first)["event"] == "dump: done"
    assert rest == ["dump: done (seconds 0.2, tables 20)", "error: it \\x1b[2J broke\\nhere"]
