"""Steps are shown live in a terminal, and as lines everywhere else."""

from __future__ import annotations

import io
import os
import pty
import re
import threading

import pytest

from setup import terminal
from setup.problem import Problem
from setup.terminal import Silent, Terminal, duration
from tests.conftest import until


class Unicode(io.StringIO):
    encoding = "utf-8"


def test_a_step_is_one_line_with_what_was_decided_and_how_long_it_took() -> None:
    out = Unicode()
    with Terminal(out, {}).step("docker", "starting") as step:
        step.outcome = "started by hand"
    assert re.fullmatch(r"✓ docker {8} +started by hand \(\d\.\d s\)\n", out.getvalue())


def test_a_long_step_tells_how_far_it_is_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.01)
    out = Unicode()
    with Terminal(out, {}).step("pulumi", "building") as step:
        step("120 packages")
        until(lambda: "120 packages" in out.getvalue(), "how far it is")
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()


def test_a_step_that_fails_says_that_it_stopped() -> None:
    out = Unicode()
    with pytest.raises(Problem), Terminal(out, {}).step("docker", "starting"):
        raise Problem("no", "yes")
    assert "✗ docker" in out.getvalue()
    assert "stopped" in out.getvalue()


@pytest.mark.parametrize(
    ("environment", "live", "colour"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_a_terminal_gets_a_live_line_and_colour_only_where_it_wants_them(
    environment: dict[str, str], live: bool, colour: bool
) -> None:
    controller, follower = pty.openpty()
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        shown = Terminal(stream, environment)
        assert (shown.live, shown.colour) == (live, colour)
        seen: list[bytes] = []
        reader = threading.Thread(target=lambda: seen.append(os.read(controller, 4096)))
        reader.start()
        shown.problem(Problem("cause", "fix"))
        reader.join(10)
    os.close(controller)
    assert (b"\x1b[31m" in b"".join(seen)) == colour


def test_a_terminal_without_unicode_gets_plain_signs() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Terminal(out, {}).done("docker", "started", 1)
    out.seek(0)
    assert out.read().startswith("* docker")


def test_a_problem_is_its_cause_and_its_fix() -> None:
    out = Unicode()
    Terminal(out, {}).problem(Problem("It is broken:\nbadly", "mend it"))
    assert out.getvalue() == "✗ It is broken:\n  badly\n  Fix: mend it\n"


def test_the_silent_terminal_says_nothing() -> None:
    out = Unicode()
    Silent(out, {}).done("docker", "started", 1)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (99, "99 s"), (185, "3 min 05 s")]
)
def test_times_are_said_as_a_person_says_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
