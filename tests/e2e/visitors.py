"""Visitors who ask a site all the time, whose every request is accounted for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from types import TracebackType

from prober import work
from prober.background import Background
from prober.load import Load
from prober.tally import Tally
from prober.target import Target
from prober.work import Work
from tests.e2e.site import Site

WORDS = "operations@example.com"
IN_FLIGHT_SECONDS = 2.0


def quick(run: str, rate: float) -> list[Work]:
    """Ask and order, on connections that stay open and on new ones."""
    return [
        work.get("/probe/release", rate * 0.4),
        work.fresh("/probe/release", rate * 0.2),
        work.post("/probe/orders", rate * 0.4, run),
    ]


def slow(rate: float = 0.5) -> list[Work]:
    """Fetch and send bodies that take seconds, but less than a release may take to drain."""
    return [
        work.download("/probe/download", rate, 100_000, IN_FLIGHT_SECONDS),
        work.upload("/probe/upload", rate, 30_000, IN_FLIGHT_SECONDS),
    ]


class Visitors:
    """The prober at work on a site, and what it found."""

    def __init__(self, site: Site, rate: float = 40, others: Sequence[Work] | None = None, words: str = WORDS) -> None:
        self.site = site
        self.run = uuid.uuid4().hex
        works = [*quick(self.run, rate), *(slow() if others is None else others)]
        self.load = Load(Target.of(site.url), works, page_words=words)
        self.background = Background(self.load)

    def __enter__(self) -> Visitors:
        """Begin, and return once there are answers."""
        self.background.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, and compare what was ordered with what was written down."""
        self.background.__exit__(kind, error, trace)
        if error is None:
            self.check_orders()

    def check_orders(self) -> None:
        """Every order was written down never twice, and once if it was answered so."""
        answer = self.site.wait_for(lambda answer: answer.status == 200, 60, f"/probe/orders/{self.run}")
        assert self.load.posts.wrong([(number, times) for number, times in json.loads(answer.body)]) == []
        assert self.load.posts.done > 0

    def lap(self) -> Tally:
        """Return what became of the requests up to now, and begin to count anew."""
        return self.background.lap()

    @property
    def tally(self) -> Tally:
        """What became of the requests since the last lap."""
        return self.load.tally

    def wait(self, count: int = 50) -> None:
        """Wait for so many more requests to be over."""
        self.background.wait_for_answers(count)


def assert_all_served(tally: Tally) -> None:
    """Every request that was sent got what it asked for."""
    assert tally.failed == tally.paged == 0, told(tally)
    assert tally.served == tally.sent > 0, told(tally)


def assert_served_or_paged(tally: Tally) -> None:
    """Every request got what it asked for, or the page as it has to be; and the page was seen."""
    assert tally.failed == 0, told(tally)
    assert tally.served + tally.paged == tally.sent, told(tally)
    assert tally.paged > 0, told(tally)


def told(tally: Tally) -> str:
    """Return a tally for a person to read."""
    return json.dumps(tally.plain(), indent=1)
