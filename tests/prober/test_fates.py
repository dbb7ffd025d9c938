"""Every way in which a server can let a visitor down is told apart from the others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from prober import work
from prober.fate import Fate, Outcome, Verdict
from prober.load import Load
from prober.tally import Tally
from prober.target import Target
from prober.work import Work
from tests.prober.server import Served, serving

RATE = 40


@pytest.fixture
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


def ask(
    target: Target, *works: Work, seconds: float = 0.3, lines: int = 2, timeout: float = 1.0
) -> tuple[Tally, list[Outcome], Load]:
    """Run a load for a moment; return its tally, every outcome, and the load."""
    outcomes: list[Outcome] = []
    load = Load(target, works, lines, timeout, "operations@example.com", outcomes.append)
    return asyncio.run(load.run(seconds)), outcomes, load


@pytest.mark.parametrize("kind", ["get", "fresh"])
@pytest.mark.parametrize(
    ("path", "fate", "verdict", "words"),
    [
        ("/", Fate.ANSWERED, Verdict.SERVED, ""),
        ("/closes", Fate.CLOSED, Verdict.FAILED, ""),
        ("/resets", Fate.RESET, Verdict.FAILED, "ConnectionResetError"),
        ("/half", Fate.CUT, Verdict.FAILED, "peer closed connection"),
        ("/half-a-head", Fate.CUT, Verdict.FAILED, "closed connection"),
        ("/resets-halfway", Fate.CUT, Verdict.FAILED, "ConnectionResetError"),
        ("/garbage", Fate.GARBLED, Verdict.FAILED, "illegal status line"),
        ("/silent", Fate.LATE, Verdict.FAILED, "not over 1 s after it was due"),
        ("/bare-503", Fate.ANSWERED, Verdict.FAILED, "without Retry-After"),
        ("/page", Fate.ANSWERED, Verdict.PAGE, ""),
        ("/refuses", Fate.ANSWERED, Verdict.FAILED, "status 500: broken"),
    ],
)
def test_each_fate_has_its_name(server: Served, kind: str, path: str, fate: Fate, verdict: Verdict, words: str) -> None:
    asked = work.get(path, RATE) if kind == "get" else work.fresh(path, RATE)
    tally, outcomes, _ = ask(server.target, asked)
    assert {(each.fate, each.verdict) for each in outcomes} == {(fate, verdict)}, tally.failures
    assert all(words in each.detail for each in outcomes), tally.failures
    assert tally.sent == len(outcomes) == tally.verdicts[verdict] >= 8
    assert server.requests[path] == len(outcomes), "a request was sent again, or never"


def test_nobody_listening_is_told_as_not_connected() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        target = Target("127.0.0.1", probe.getsockname()[1], "localhost")
        _, outcomes, _ = ask(target, work.get("/", RATE))
    assert {each.fate for each in outcomes} == {Fate.NOT_CONNECTED}
    assert {(each.connection, each.turn) for each in outcomes} == {(0, 0)}


def test_a_request_on_a_kept_connection_that_closes_without_an_answer_has_failed(server: Served) -> None:
    tally, outcomes, _ = ask(server.target, work.get("/closes-the-second", RATE), lines=1)
    assert [(each.turn, each.fate) for each in outcomes][:4] == [
        (1, Fate.ANSWERED),
        (2, Fate.CLOSED),
        (1, Fate.ANSWERED),
        (2, Fate.CLOSED),
    ]
    assert server.requests["/closes-the-second"] == tally.sent
    assert tally.failed == tally.sent // 2


def test_a_connection_that_closes_while_nobody_uses_it_fails_nothing(server: Served) -> None:
    tally, _, _ = ask(server.target, work.get("/leaves-when-idle", 10), seconds=0.6, lines=1)
    assert tally.failed == 0
    assert tally.served == tally.sent >= 6
    assert tally.idle_closed >= tally.sent - 1


def test_a_connection_that_is_reset_while_nobody_uses_it_is_counted_as_failed(server: Served) -> None:
    tally, _, _ = ask(server.target, work.get("/resets-when-idle", 10), seconds=0.6, lines=1)
    assert tally.served == tally.sent
    assert tally.failed == tally.idle_broken >= tally.sent - 1


def test_a_connection_whose_end_was_announced_is_not_used_again(server: Served) -> None:
    tally, outcomes, _ = ask(server.target, work.get("/says-it-closes", RATE))
    assert tally.failed == tally.idle_closed == 0
    assert {each.turn for each in outcomes} == {1}


def test_kept_connections_take_turns_and_fresh_ones_carry_one_request(server: Served) -> None:
    tally, outcomes, _ = ask(server.target, work.get("/", RATE), work.fresh("/fresh", RATE), lines=3)
    kept = {each.connection for each in outcomes if each.kind == "get"}
    fresh = [each.connection for each in outcomes if each.kind == "fresh"]
    assert len(kept) == 3
    assert len(set(fresh)) == len(fresh) >= 8
    assert tally.connections == len(kept) + len(fresh)
    assert max(each.turn for each in outcomes) >= 3


def test_what_is_fetched_and_what_was_sent_are_compared_with_what_they_should_be(server: Served) -> None:
    fine = (work.download("/download", RATE, 1000, 0), work.upload("/upload", RATE, 5000, 0.2))
    tally, outcomes, _ = ask(server.target, *fine)
    assert tally.failed == 0, tally.failures
    assert {each.release for each in outcomes} == {"header", ""}
    assert all(each.latency >= 0.15 for each in outcomes if each.kind == "upload"), "it was not sent slowly"
    other = (work.download("/another-download", RATE, 1000, 0), work.upload("/another-upload", RATE, 5000, 0))
    tally, outcomes, _ = ask(server.target, *other)
    assert tally.served == 0
    assert {each.detail.partition(" of")[0].partition(", with")[0] for each in outcomes} == {
        "another body",
        "the server got another body",
    }


def test_numbered_requests_are_compared_with_what_the_server_did(server: Served) -> None:
    _, _, load = ask(server.target, work.post("/post", RATE, "run"))
    assert load.posts.done == len(server.posts) >= 8
    assert load.posts.wrong(server.posts.items()) == []
    assert load.posts.wrong({**server.posts, 3: 2, 5000: 1}.items()) == [
        "3 was done 2 times",
        "5000 was done, but not sent",
    ]
    assert load.posts.wrong([pair for pair in server.posts.items() if pair[0] != 4]) == [
        "4 was answered as done, but was not"
    ]
