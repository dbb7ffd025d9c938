"""What one call of the engine works with, and what it ends with."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from offline.plugin.log import EngineLog
from offline.plugin.values import Properties


class CancelledError(Exception):
    """The engine cancelled while a call waited."""


@dataclass(frozen=True)
class Call:
    """The resource the call is about, the engine's log, and how long it may take: 0 where nobody said."""

    urn: str
    seconds: float
    log: EngineLog
    cancelled: threading.Event
    started: float = field(default_factory=time.monotonic)

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until the engine cancels; raise CancelledError then."""
        if self.cancelled.wait(seconds):
            raise CancelledError

    def spent(self) -> float:
        """Return how long the call has taken so far, in seconds."""
        return time.monotonic() - self.started

    def status(self, text: str) -> None:
        """Show a line of progress beside the resource."""
        self.log.status(text, self.urn)


@dataclass(frozen=True)
class Made:
    """An object as it now is in the cluster, with the inputs it was made of and who applies it.

    `written` is the inputs as the program has them, where those are others: without what an update ignores.
    """

    id: str
    live: Mapping[str, Any]
    inputs: Properties
    manager: str
    written: Properties | None = None
