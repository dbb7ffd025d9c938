"""The follower of the log directory, and the escalation of a stop."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server import follower
from server.child import Escalation
from server.follower import Follower


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


def follow(directory: Path) -> Follower:
    return Follower(directory, directory.parent / "current_logfiles")


def texts(of: Follower) -> list[str]:
    return [text for _, text in of.poll()]


def test_lines_are_given_once_and_only_when_complete(directory: Path) -> None:
    file = directory / "1.json"
    mine = follow(directory)
    file.write_text("one\ntw")
    assert texts(mine) == ["one"]
    assert texts(mine) == []
    file.write_text("one\ntwo\n")
    assert texts(mine) == ["two"]


def test_the_next_follower_goes_on_where_the_last_one_was(directory: Path) -> None:
    file = directory / "1.json"
    file.write_text("one\n")
    assert texts(follow(directory)) == ["one"]
    file.write_text("one\nlast words\n")
    assert texts(follow(directory)) == ["last words"]


def test_a_file_is_deleted_when_read_and_succeeded_but_not_while_the_server_writes_it(directory: Path) -> None:
    (directory / "1.json").write_text("one\n")
    (directory / "2.json").write_text("two\n")
    current = directory.parent / "current_logfiles"
    current.write_text(f"jsonlog {directory}/1.json\n")
    mine = follow(directory)
    assert texts(mine) == ["one", "two"]
    assert mine.names() == ["1.json", "2.json"], "the server may still call the old one current"
    current.write_text(f"jsonlog {directory}/2.json\n")
    assert texts(mine) == []
    assert mine.names() == ["2.json"]


def test_a_monstrous_line_is_left_out_and_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "LONGEST_LINE", 1 << 17)
    (directory / "1.json").write_text("x" * (1 << 20) + "\nnext\n")
    told, after = texts(follow(directory))
    assert "left out" in told
    assert after == "next"


def test_beyond_the_bound_the_oldest_finished_files_go(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "BOUND", 2500)
    for index in range(4):
        (directory / f"{index}.json").write_text("x" * 999 + "\n")
    mine = follow(directory)
    assert mine.give_up_excess() == 2000
    assert mine.names() == ["2.json", "3.json"]


@given(st.dictionaries(st.from_regex(r"[0-9]{3}\.json", fullmatch=True), st.integers(0, 1000)), st.integers(0, 5000))
def test_giving_up_ends_within_the_bound_or_with_nothing_finished_left(sizes: dict[str, int], bound: int) -> None:
    done = follower.finished(sorted(sizes), set())
    gone = follower.excess(sizes, done, bound)
    left = sum(size for name, size in sizes.items() if name not in gone)
    assert left <= bound or gone == done
    assert gone == done[: len(gone)]


def test_a_stop_escalates_when_asked_again_or_out_of_time() -> None:
    steps = Escalation([(signal.SIGINT, 9.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)])
    assert steps.step(0.0, asked=False) is None
    assert steps.step(0.0, asked=True) == signal.SIGINT
    assert steps.step(8.0, asked=False) is None
    assert steps.step(8.5, asked=True) == signal.SIGQUIT
    assert steps.step(13.0, asked=False) is None
    assert steps.step(13.5, asked=False) == signal.SIGKILL
    assert steps.step(20.0, asked=True) is None
    assert steps.deadline is None
