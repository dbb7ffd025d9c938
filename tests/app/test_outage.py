"""When a database counts as offline: at once where it says so, and not merely because a busy machine answers late."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import cast

import pytest
from scaffold.health import Readiness, Verdict
from scaffold.outage import PATIENT_LOOKS, Outage

WELL = Verdict(True)
LATE = Verdict(False, "database", "no answer within 1 s", slow=True)
GONE = Verdict(False, "database", "connection refused")
BEHIND = Verdict(False, "schema", "at another revision")


class Told:
    """Answers each look with the next verdict, and then waits until the test is over."""

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        self.verdicts = list(verdicts)
        self.all_told = threading.Event()
        self.over = threading.Event()

    def check(self) -> Verdict:
        """Return the next verdict."""
        if self.verdicts:
            return self.verdicts.pop(0)
        self.all_told.set()
        self.over.wait(30)
        return WELL


@pytest.mark.parametrize(
    ("verdicts", "offline"),
    [
        ([GONE], True),
        ([LATE], False),
        ([LATE] * (PATIENT_LOOKS - 1), False),
        ([LATE] * PATIENT_LOOKS, True),
        ([LATE, LATE, WELL, LATE], False),
        ([GONE, LATE], True),
        ([GONE, WELL], False),
        ([LATE, GONE], True),
        ([GONE, BEHIND], True),
        ([BEHIND], True),
        ([BEHIND, WELL], False),
    ],
)
def test_nobody_waits_for_a_database_that_is_gone_stays_silent_or_has_another_schema(
    verdicts: Sequence[Verdict], offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaffold.outage.WELL", 0.01)
    monkeypatch.setattr("scaffold.outage.OFFLINE", 0.01)
    told = Told(verdicts)
    outage = Outage(cast(Readiness, told))
    outage.watch()
    try:
        assert told.all_told.wait(10)
        assert outage.active is offline
    finally:
        told.over.set()
        deadline = time.monotonic() + 5
        while outage.active and time.monotonic() < deadline:
            time.sleep(0.01)
