"""Suites beside others: they run one after another, say what they said, and end when the rest is given up."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from operate.beside import Beside
from operate.suites import Suite

ONE, TWO = (Suite(name, f"tests/{name}", 1, 1, official=False, beside=True) for name in ("one", "two"))


def beside(folder: Path, program: str, seconds: float = 60) -> Beside:
    """Return what runs a program for each of two suites; it is given the suite's name."""

    def command(suite: Suite) -> Sequence[str]:
        return [sys.executable, "-c", program, suite.name]

    return Beside([ONE, TWO], command, lambda _: seconds, os.environ, folder, folder)


def test_they_run_in_their_order_at_a_lower_priority_and_their_words_are_kept(tmp_path: Path) -> None:
    program = "import os, sys; print(sys.argv[1], os.nice(0)); open('order', 'a').write(sys.argv[1]); sys.exit(3)"
    with beside(tmp_path, program) as running:
        pass
    assert running.codes == {"one": 3, "two": 3}
    assert (running.words(ONE), running.words(TWO)) == ("one 5\n", "two 5\n")
    assert (tmp_path / "order").read_text() == "onetwo"
    assert set(running.seconds) == {"one", "two"}


def test_when_the_rest_is_given_up_the_one_that_runs_is_interrupted_and_no_other_begins(tmp_path: Path) -> None:
    program = (
        "import signal, sys, time\nsignal.signal(2, signal.default_int_handler)\nopen(sys.argv[1], 'w').close()\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('cleaned up')\n"
    )
    began = time.monotonic()
    with pytest.raises(RuntimeError), beside(tmp_path, program) as running:  # noqa: PT012
        while not (tmp_path / "one").exists():
            time.sleep(0.01)
        raise RuntimeError
    assert time.monotonic() - began < 30
    assert running.words(ONE) == "cleaned up\n"
    assert not (tmp_path / "two").exists()


def test_one_that_hangs_is_stopped_and_the_next_one_runs(tmp_path: Path) -> None:
    program = "import sys, time\nprint('here', flush=True)\nif sys.argv[1] == 'one':\n    time.sleep(60)\n"
    with beside(tmp_path, program, seconds=1.5) as running:
        pass
    assert running.codes["one"] is None
    assert running.words(TWO) == "here\n"


def test_one_that_passes_over_an_interrupt_is_stopped_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operate.beside.SECONDS_TO_CLEAN_UP", 0.5)
    program = (
        "import signal, sys, time\nsignal.signal(2, signal.SIG_IGN)\nopen(sys.argv[1], 'w').close()\ntime.sleep(60)\n"
    )
    began = time.monotonic()
    with pytest.raises(RuntimeError), beside(tmp_path, program):  # noqa: PT012
        while not (tmp_path / "one").exists():
            time.sleep(0.01)
        raise RuntimeError
    assert time.monotonic() - began < 30
