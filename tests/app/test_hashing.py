"""Argon2id in a process of its own: with the parameters that were chosen, and never more than its share."""

from __future__ import annotations

import gc
import os
import resource
import signal
import threading
import time
from pathlib import Path

import pytest
from scaffold import hashing
from scaffold.hashing import NOBODY, PLACES, Busy, Hashing
from structlog.testing import capture_logs

from tests.conftest import started_at, until


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told to come again because the machine that runs the tests is busy."""
    monkeypatch.setattr(hashing, "PATIENCE", 60.0)


def test_what_is_kept_is_argon2id_with_todays_parameters_and_other_each_time() -> None:
    ours = Hashing()
    with ours.place() as place:
        first, second = place.hash("violet tractors ✓\n"), place.hash("violet tractors ✓\n")
        assert first != second
        assert first.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
        assert place.verify(first, "violet tractors ✓\n")
        assert not place.verify(first, "Violet tractors ✓\n")
        assert not place.verify("nonsense", "violet tractors ✓\n")


def test_what_nobodys_password_is_compared_with_costs_the_same() -> None:
    assert not hashing.is_outdated(NOBODY)
    with Hashing().place() as place:
        assert not place.verify(None, "violet tractors")


def test_whoever_finds_all_places_taken_is_told_so_at_once() -> None:
    ours = Hashing()
    leave, inside = threading.Event(), threading.Semaphore(0)

    def stay() -> None:
        with ours.place():
            inside.release()
            leave.wait(20)

    threads = [threading.Thread(target=stay) for _ in range(PLACES)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=10)
    began = time.monotonic()
    with pytest.raises(Busy), ours.place():
        pass
    assert time.monotonic() - began < 0.5
    leave.set()
    for thread in threads:
        thread.join(10)
    with ours.place() as place:
        assert place.hash("x")


def test_hashing_one_after_the_other_leaves_most_of_a_processor_to_others() -> None:
    ours = Hashing()
    began = time.monotonic()
    used = [float(ours.ask(None, "x")["seconds"]) for _ in range(6)]
    elapsed = time.monotonic() - began
    assert min(used) > 0
    assert sum(used[:-1]) * (1 + hashing.REST) <= elapsed * 1.1


def test_the_process_gives_way_and_knows_nothing_of_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "a very secret key")
    ours = Hashing()
    ours.ask(None, "violet tractors")
    assert ours.process is not None
    process = Path(f"/proc/{ours.process.pid}")
    nice = int((process / "stat").read_text().rpartition(")")[2].split()[16])
    assert nice > 0
    for told in ("environ", "cmdline"):
        words = (process / told).read_bytes()
        assert b"a very secret key" not in words
        assert b"violet" not in words


def test_a_process_that_was_killed_is_replaced_and_costs_no_try() -> None:
    ours = Hashing()
    with ours.place() as place:
        kept = place.hash("violet tractors")
        for _ in range(2):
            assert ours.process is not None
            ours.process.kill()
            assert place.verify(kept, "violet tractors")


def test_a_process_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Hashing()
    with ours.place() as place:
        kept = place.hash("violet tractors")
        hanging = ours.process
        assert hanging is not None
        os.kill(hanging.pid, signal.SIGSTOP)
        monkeypatch.setattr(hashing, "LONGEST", 5.0)
        assert place.verify(kept, "violet tractors")
        assert ours.process is not hanging
        assert started_at(hanging.pid) is None


def test_a_process_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "LONGEST", 0.0)
    ours = Hashing()
    with ours.place() as place, pytest.raises(Busy), capture_logs() as said:
        place.hash("violet tractors")
    (line,) = said
    assert line["log_level"] == "error"
    assert "violet" not in str(line)
    monkeypatch.undo()
    with ours.place() as place:
        assert place.hash("violet tractors")


def test_the_process_ends_by_itself_when_nobody_asks_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "IDLE_SECONDS", 0.2)
    ours = Hashing()
    with ours.place() as place:
        kept = place.hash("violet tractors")
        assert ours.process is not None
        left = Path(f"/proc/{ours.process.pid}")
        until(lambda: not left.exists(), "nothing is left of it")
        assert ours.process.wait(10) == 0
        assert place.verify(kept, "violet tractors")


def test_the_process_ends_with_whoever_asked() -> None:
    ours = Hashing()
    ours.ask(None, "x")
    assert ours.process is not None
    pid = ours.process.pid
    assert started_at(pid) is not None
    del ours
    gc.collect()
    # The thread that asked may not have let go of it yet.
    until(lambda: started_at(pid) is None, "its process has ended")


def test_an_answer_comes_in_a_worker_with_more_than_a_thousand_connections() -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limit[1]), limit[1]))
    read, write = os.pipe()
    taken = [os.dup(read) for _ in range(1024)]
    try:
        assert Hashing().ask(None, "x")["hash"]
    finally:
        for number in (read, write, *taken):
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
