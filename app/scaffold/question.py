"""A question that may take long or hang, asked once at a time and waited for only so long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Question(Generic[Answer]):
    """Whoever asks while it is being asked waits for the same answer, so that callers do not pile up behind it.

    With `give_up`, one that nobody could wait for is left to itself, and the next caller asks anew.
    """

    def __init__(self, ask: Callable[[], Answer], name: str, *, give_up: bool = False) -> None:
        self.ask = ask
        self.name = name
        self.give_up = give_up
        self.lock = threading.Lock()
        self.pending: Future[Answer] | None = None

    def answer(self, patience: float) -> Answer:
        """Return the answer, or raise what asking raised, or `TimeoutError` after the patience (seconds)."""
        with self.lock:
            if self.pending is None:
                self.pending = Future()
                threading.Thread(target=self._run, args=(self.pending,), name=self.name, daemon=True).start()
            pending = self.pending
        try:
            return pending.result(patience)
        except TimeoutError:
            if self.give_up:
                self._forget(pending)
            raise

    def _run(self, pending: Future[Answer]) -> None:
        try:
            found = self.ask()
        except BaseException as error:
            self._forget(pending)
            pending.set_exception(error)
        else:
            self._forget(pending)
            pending.set_result(found)

    def _forget(self, pending: Future[Answer]) -> None:
        with self.lock:
            if self.pending is pending:
                self.pending = None
