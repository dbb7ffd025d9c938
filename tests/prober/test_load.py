"""Requests go out when they are due, and the count of them is complete."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prober import work
from prober.background import Background
from prober.fate import Fate, Outcome, Verdict
from prober.histogram import Histogram
from prober.load import Load
from prober.tally import KEPT_FAILURES, Tally
from prober.target import Target
from tests.conftest import ROOT
from tests.prober.server import Served, serving


@pytest.fixture
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


def test_a_stalled_server_delays_nothing_and_every_latency_counts_from_when_it_was_due(server: Served) -> None:
    tally = asyncio.run(Load(server.target, [work.get("/slow", 50)], lines=1).run(0.5))
    assert 24 <= tally.sent <= 26, "requests waited for those before them"
    assert tally.served == tally.sent
    assert tally.percentile(0.01) >= 0.28


def test_a_stalled_prober_shows_in_the_latencies(server: Served) -> None:
    async def stalled() -> Tally:
        load = Load(server.target, [work.get("/", 50)])
        asyncio.get_running_loop().call_later(0.1, time.sleep, 0.3)
        return await load.run(0.6)

    tally = asyncio.run(stalled())
    assert tally.sent >= 29, "what was due in the meantime is sent afterwards"
    assert tally.percentile(1) >= 0.25


def test_a_lap_holds_what_was_due_in_it_and_nothing_is_counted_twice(server: Served) -> None:
    load = Load(server.target, [work.get("/", 50), work.get("/slow", 20)])
    with Background(load) as running:
        running.wait_for_answers(20)
        first = running.lap()
        running.wait_for_answers(20)
        second = running.lap()
    assert first.outstanding == second.outstanding == load.tally.outstanding == 0
    assert first.sent >= 20
    assert second.sent >= 20
    assert first.sent + second.sent + load.tally.sent == sum(server.requests.values())
    assert set(first.releases) == {"one", "slow"}


def test_a_run_that_gets_no_answer_is_not_waited_for_in_vain() -> None:
    load = Load(Target("127.0.0.1", 1, "localhost"), [])
    with pytest.raises(AssertionError, match="got no 1 answers"):
        Background(load, seconds=0.1).__enter__()


def test_percentiles_are_within_two_percent_of_the_exact_ones() -> None:
    histogram = Histogram()
    for number in range(1, 1001):
        histogram.add(number / 1000)
    for share in (0.5, 0.9, 0.99, 1.0):
        assert math.isclose(histogram.percentile(share), share, rel_tol=0.021)
    assert Histogram().percentile(0.5) == 0
    assert len(histogram.buckets) < 400


def test_of_many_failures_the_first_are_kept_and_all_are_counted() -> None:
    tally = Tally()
    for number in range(1000):
        tally.begin()
        tally.end(Outcome("get", number, 0, 0.1, Fate.CLOSED, Verdict.FAILED, 0, "", 1, 1, "why"))
    assert tally.failed == 1000
    assert [each.number for each in tally.failures] == list(range(KEPT_FAILURES))
    assert tally.fates == {"get closed without an answer": 1000}


def test_other_addresses_than_plain_http_are_refused() -> None:
    for url in ("https://localhost", "localhost:8000", "http://localhost/path", "http://"):
        with pytest.raises(ValueError, match="wanted http://HOST"):
            Target.of(url)
    assert Target.of("http://localhost:8000/") == Target("127.0.0.1", 8000, "localhost:8000")


def prober(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "prober", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_command_line_asks_counts_and_writes_every_request_down(server: Served, tmp_path: Path) -> None:
    url = f"http://localhost:{server.port}"
    journal = tmp_path / "journal.jsonl"
    done = prober("--url", url, "--rate", "60", "--seconds", "1", "--post", "/post", "--journal", str(journal))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert told["sent"] == told["verdicts"]["served"] == len(lines) == sum(server.requests.values())
    assert {line["kind"] for line in lines} == {"get", "fresh", "post"}
    assert told["failures"] == []
    assert prober("--url", url, "--path", "/page", "--seconds", "0.2").returncode == 1
    refused = prober("--url", "https://localhost")
    assert refused.returncode == 2
    assert "wanted http://HOST" in refused.stderr


def test_a_hundred_requests_a_second_take_a_quarter_of_a_processor_at_most(server: Served) -> None:
    done = prober("--url", f"http://localhost:{server.port}", "--rate", "100", "--seconds", "4", "--post", "/post")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["processor"] <= 0.25
