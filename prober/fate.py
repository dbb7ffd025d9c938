"""What became of a request."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Fate(StrEnum):
    """How far a request came on the wire."""

    ANSWERED = "answered"
    NOT_CONNECTED = "not connected"
    CLOSED = "closed without an answer"
    RESET = "reset without an answer"
    CUT = "answer cut off"
    LATE = "not over in time"
    GARBLED = "not HTTP"


class Verdict(StrEnum):
    """What a visitor got: what was asked for, the maintenance page, or neither."""

    SERVED = "served"
    PAGE = "page"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request and its fate; times in seconds since the start, the latency since the time it was due."""

    kind: str
    number: int
    due: float
    latency: float
    fate: Fate
    verdict: Verdict
    status: int
    release: str
    connection: int
    turn: int
    detail: str

    def plain(self) -> dict[str, object]:
        """Return it as JSON takes it."""
        return asdict(self)
