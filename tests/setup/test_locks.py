"""A lock is held by one run, says by whom, and is free when that run dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from setup.locks import Held, Holder, current_holder, lock

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from setup.locks import lock
with lock(Path(sys.argv[1]), "making tea"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=20)


def test_the_second_run_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    holder = hold(tmp_path / "lock")
    try:
        with pytest.raises(Held) as refused, lock(tmp_path / "lock", "making coffee"):
            pass
        found = refused.value.holder
        assert found is not None
        assert (found.pid, found.doing) == (holder.pid, "making tea")
        assert f"process {holder.pid} (making tea, since " in str(found)
        assert current_holder(tmp_path / "lock") == found
    finally:
        end(holder)


def test_a_run_that_waits_says_for_whom_and_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    holder = hold(tmp_path / "lock")
    heard: list[Holder | None] = []

    def waiting(found: Holder | None) -> None:
        heard.append(found)
        end(holder)

    with lock(tmp_path / "lock", "making coffee", wait=20, waiting=waiting):
        assert [found.pid for found in heard if found] == [holder.pid]


def test_the_lock_of_a_killed_run_is_free_and_names_nobody(tmp_path: Path) -> None:
    holder = hold(tmp_path / "lock")
    os.kill(holder.pid, signal.SIGKILL)
    end(holder)
    assert (tmp_path / "lock").read_text() != ""
    assert current_holder(tmp_path / "lock") is None
    with lock(tmp_path / "lock", "making coffee"):
        pass


def test_a_lock_that_was_let_go_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path / "lock", "making coffee"):
            pass
    assert current_holder(tmp_path / "lock") is None
    assert current_holder(tmp_path / "never") is None
