"""Other programs have a limit of time, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from setup.processes import Failed, follow, run

ROOT = Path(__file__).resolve().parents[2]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_comes_back_and_input_goes_in() -> None:
    assert run(python("print(input().upper())"), timeout=20, stdin="words\n") == "WORDS\n"


def test_a_failure_carries_the_exit_code_and_the_last_words() -> None:
    with pytest.raises(Failed) as failed:
        run(python("import sys; print('out'); sys.exit('broken')"), timeout=20)
    assert (failed.value.code, failed.value.words) == (1, "broken")
    assert "ended with exit code 1" in str(failed.value)


def test_a_program_that_takes_too_long_is_stopped_and_said_to_be() -> None:
    with pytest.raises(Failed) as failed:
        run(python("import time; print('begun', flush=True); time.sleep(60)"), timeout=0.5)
    assert failed.value.code is None
    assert "did not end in time" in str(failed.value)


def test_the_lines_of_a_long_program_come_as_they_are_said_and_are_kept(tmp_path: Path) -> None:
    seen: list[str] = []
    log = tmp_path / "logs" / "log"
    follow(python("import sys; print('one'); print('two', file=sys.stderr)"), 20, seen.append, log=log)
    assert sorted(seen) == ["one", "two"]
    assert sorted(log.read_text().split()) == ["one", "two"]


def test_a_long_program_that_overstays_is_stopped_with_its_children() -> None:
    seen: list[str] = []
    code = (
        "import subprocess, sys, time; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with pytest.raises(Failed) as failed:
        follow(python(code), 1.5, seen.append)
    assert failed.value.code is None
    assert gone(int(seen[0]))


def test_a_reader_that_raises_stops_the_program() -> None:
    def refuse(_line: str) -> None:
        raise RuntimeError("enough")

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="enough"):
        follow(python("import time; print('x', flush=True); time.sleep(60)"), 60, refuse)
    assert time.monotonic() - began < 20


HANDED = """
import os, sys
from pathlib import Path
from setup.processes import hand_over
sys.exit(hand_over([sys.executable, "-c", sys.argv[1]], environment=os.environ, folder=Path.cwd()))
"""
PATIENT = """
import signal, sys, time
def stop(number, frame):
    print("tidying", flush=True); time.sleep(0.3); print("tidied", flush=True); sys.exit(7)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_passed_on_and_the_program_ends_in_its_own_way(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HANDED, PATIENT], cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    said, _ = process.communicate(timeout=20)
    assert said == "tidying\ntidied\n"
    assert process.returncode == 7


def test_the_exit_code_of_a_killed_program_is_the_shells() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", HANDED, code], cwd=ROOT, timeout=20, check=False)
    assert done.returncode == 137


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False
