"""What the last runs came to: kept beside the backups, for the schedule, for pruning and for who watches."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from backup import clock, durable, line

NAME = ".state.json"
UNFINISHED = "unfinished"


@dataclass(frozen=True)
class State:
    """The last run and the last that succeeded; times are seconds since the epoch, 0 where there is none."""

    last_run: float = 0.0
    last_result: str = ""
    last_error: str = ""
    last_success: float = 0.0
    last_seconds: float = 0.0
    last_drill: float = 0.0
    last_drill_result: str = ""
    first_run: float = 0.0
    failures: int = 0
    failures_in_a_row: int = 0
    wall: float = 0.0
    since_boot: float = 0.0
    boot: str = ""

    @property
    def clock(self) -> clock.Reading | None:
        """The clock at the end of the last run."""
        return clock.Reading(self.wall, self.since_boot, self.boot) if self.wall else None


def read(root: Path) -> State:
    """Return the state; one that cannot be read counts as a failed run, after which nothing is pruned."""
    try:
        document: dict[str, Any] = json.loads((root / NAME).read_bytes())
        # A newer image may have written more, and an older one takes over where somebody goes back.
        return State(**{name: value for name, value in document.items() if name in State.__dataclass_fields__})
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, TypeError, AttributeError):
        line.say("warning", f"{root / NAME} cannot be read and is begun anew; nothing is pruned before a success")
        return State(last_result="failure", last_error=f"{NAME} could not be read")


def write(root: Path, state: State) -> None:
    """Write the state."""
    durable.write(root / NAME, json.dumps(asdict(state), sort_keys=True).encode() + b"\n")


def after_run(state: State, now: clock.Reading, seconds: float, error: str) -> State:
    """Return the state after a run."""
    common = replace(
        state,
        last_run=now.wall,
        first_run=state.first_run or now.wall,
        last_result="failure" if error else "success",
        last_error=error,
        last_seconds=round(seconds, 3),
        wall=now.wall,
        since_boot=now.since_boot,
        boot=now.boot,
    )
    if error:
        return replace(common, failures=state.failures + 1, failures_in_a_row=state.failures_in_a_row + 1)
    return replace(common, last_success=now.wall, failures_in_a_row=0)
