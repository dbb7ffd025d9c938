"""Argon2id in threads of its own: with the parameters that were chosen, and never more than its share."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from scaffold import hashing
from scaffold.hashing import AT_ONCE, NOBODY, WAITING, Busy, Hashing


def test_what_is_kept_is_argon2id_with_todays_parameters_and_other_each_time() -> None:
    ours = Hashing()
    with ours.place() as place:
        first, second = place.hash("violet tractors"), place.hash("violet tractors")
        assert first != second
        assert first.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
        assert place.verify(first, "violet tractors")
        assert not place.verify(first, "Violet tractors")
        assert not place.verify("nonsense", "violet tractors")


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

    threads = [threading.Thread(target=stay) for _ in range(AT_ONCE + WAITING)]
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
    ours.pool = ThreadPoolExecutor(1)
    used: list[float] = []

    def work() -> None:
        began = time.thread_time()
        hashing.hasher().hash("x")
        used.append(time.thread_time() - began)

    began = time.monotonic()
    for _ in range(6):
        ours.run(work)
    elapsed = time.monotonic() - began
    assert sum(used[:-1]) * (1 + hashing.REST) <= elapsed * 1.1
