"""A load beside the code that causes trouble: it runs in a thread, from the beginning of a `with` block to its end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from types import TracebackType

from prober.load import Load
from prober.tally import Tally

MOST_SECONDS = 3600.0


class Background:
    """Runs a load until the block ends, at most for `seconds`."""

    def __init__(self, load: Load, seconds: float = MOST_SECONDS) -> None:
        self.load = load
        self.seconds = seconds
        self.failure: BaseException | None = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, name="prober", daemon=True)

    def run(self) -> None:
        """Run the load in a loop of its own."""
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(self.load.run(self.seconds))
        except BaseException as failure:
            self.failure = failure

    def __enter__(self) -> Background:
        """Start, and return once the first request is over."""
        self.thread.start()
        self.wait_for_answers(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, wait for what is under way, and raise what went wrong in the load itself."""
        # A loop that has ended by itself is closed, and takes no more calls.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.load.stopped.set)
        self.thread.join(timeout=self.load.timeout + 30)
        if self.failure and error is None:
            raise self.failure

    def wait_for_answers(self, count: int, seconds: float = 60) -> None:
        """Return when so many more requests are over; raise AssertionError when that takes too long."""
        tally = self.load.tally
        wanted = over(tally) + count
        deadline = time.monotonic() + seconds
        while over(tally) < wanted:
            if not self.thread.is_alive() or time.monotonic() > deadline:
                raise AssertionError(f"the prober got no {count} answers: {self.failure or tally.plain()}")
            time.sleep(0.01)

    def cut(self) -> Tally:
        """Begin a new tally at once, and return the old one, which some requests still end in."""
        old, self.load.tally = self.load.tally, Tally(began=self.load.now())
        return old

    def lap(self) -> Tally:
        """Begin a new tally, and return the old one once all its requests are over."""
        old = self.cut()
        deadline = time.monotonic() + self.load.timeout + 5
        while old.outstanding and time.monotonic() < deadline:
            time.sleep(0.01)
        return old


def over(tally: Tally) -> int:
    """Return how many requests are over."""
    return tally.sent - tally.outstanding
