"""Sends requests when they are due, whatever became of those before, and tells what became of each."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prober import verdict
from prober.fate import Fate, Outcome, Verdict
from prober.line import Idle, Line, Lost
from prober.posts import DONE, SENT, Posts
from prober.tally import Tally
from prober.target import Target
from prober.work import Work

Listener = Callable[[Outcome], None]


@dataclass
class Load:
    """Kinds of requests to one target, each at its own rate.

    `lines` connections stay open between requests; more are opened while those are busy. A request that is not over
    `timeout` seconds after it was due is late, which bounds how many there are at once.
    """

    target: Target
    works: Sequence[Work]
    lines: int = 8
    timeout: float = 15.0
    page_words: str = ""
    listen: Listener | None = None
    tally: Tally = field(default_factory=Tally)
    posts: Posts = field(default_factory=Posts)

    def __post_init__(self) -> None:
        """Start with no connection."""
        self.unused: deque[Line] = deque()
        self.opened = self.lasting = 0
        self.mistake: BaseException | None = None
        self.under_way: set[asyncio.Task[None]] = set()
        self.stopped = asyncio.Event()
        self.began = 0.0

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.began

    async def run(self, seconds: float) -> Tally:
        """Send for so long, or until stopped; return the current tally once every request is over."""
        self.began = time.monotonic()
        pacing = [asyncio.create_task(self.pace(work, place)) for place, work in enumerate(self.works)]
        try:
            async with asyncio.timeout(seconds):
                await self.stopped.wait()
        except TimeoutError:
            pass
        finally:
            for task in pacing:
                task.cancel()
            await asyncio.gather(*pacing, return_exceptions=True)
        while self.under_way:
            await asyncio.wait(self.under_way)
        while self.unused:
            line = self.unused.popleft()
            await self.look(line, self.tally)
            line.close()
        if self.mistake:
            raise self.mistake
        return self.tally

    async def pace(self, work: Work, place: int) -> None:
        """Send one kind of request at its rate; the kinds are out of step with each other."""
        offset = place / (len(self.works) * work.rate)
        number = 0
        while True:
            due = offset + number / work.rate
            if due > self.now():
                await asyncio.sleep(due - self.now())
            task = asyncio.create_task(self.send(work, number, due, self.tally))
            self.under_way.add(task)
            task.add_done_callback(self.over)
            number += 1

    def over(self, task: asyncio.Task[None]) -> None:
        """Forget a request that is over; a mistake of this program stops the run."""
        self.under_way.discard(task)
        if not task.cancelled() and task.exception():
            self.mistake = task.exception()
            self.stopped.set()

    async def send(self, work: Work, number: int, due: float, tally: Tally) -> None:
        """Send one request, and count what became of it in the tally of the time when it was due."""
        tally.begin()
        outcome = await self.outcome(work, number, due, tally)
        if work.numbered and outcome.verdict is Verdict.SERVED:
            self.posts.note(number, DONE)
        tally.end(outcome)
        if self.listen:
            self.listen(outcome)

    async def outcome(self, work: Work, number: int, due: float, tally: Tally) -> Outcome:
        """Send one request and return what became of it."""
        line: Line | None = None
        fate, verdict_, status, release, detail = Fate.ANSWERED, Verdict.FAILED, 0, "", ""
        try:
            async with asyncio.timeout(max(0.0, due + self.timeout - self.now())):
                line = await self.line(work, tally)
                if work.numbered:
                    self.posts.note(number, SENT)
                answer = await line.ask(work, number, self.target)
            status, release = answer.status, verdict.release(answer)
            verdict_, detail = verdict.of(work, answer, self.page_words)
        except Lost as lost:
            fate, detail = lost.fate, lost.detail
        except TimeoutError:
            fate, detail = Fate.LATE, f"not over {self.timeout:g} s after it was due"
        latency = self.now() - due
        if line:
            self.put_back(line)
        return Outcome(
            work.kind, number, round(due, 4), latency, fate, verdict_, status, release,
            line.number if line else 0, line.turn if line else 0, detail,
        )  # fmt: skip

    async def line(self, work: Work, tally: Tally) -> Line:
        """Return an open connection: a new one, or the one that has been unused for longest; raise Lost."""
        while not work.fresh and self.lasting >= self.lines and self.unused:
            line = self.unused.popleft()
            if await self.look(line, tally):
                return line
            line.close()
        self.lasting += not work.fresh
        self.opened += 1
        line = await Line.open(self.opened, self.target)
        tally.connections += 1
        return line

    async def look(self, line: Line, tally: Tally) -> bool:
        """Tell whether an unused connection is still open, and count one that is not."""
        found = await line.idle()
        tally.idle_closed += found is Idle.CLOSED
        tally.idle_broken += found is Idle.BROKEN
        return found is Idle.OPEN

    def put_back(self, line: Line) -> None:
        """Keep a connection for the next request, where it can carry one."""
        line.next_cycle()
        if line.reusable and len(self.unused) < self.lines:
            self.unused.append(line)
        else:
            line.close()
