"""When the next run is due: decided from the schedule, the clock and what the last runs came to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from backup import cron
from backup.cron import Cron
from backup.state import State

# After a failure it is tried again: what is wrong often mends itself, and a night without a backup is long.
RETRIES = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
AHEAD = timedelta(minutes=1)
DAILY = timedelta(days=1)


class Decision(NamedTuple):
    """Whether to run now, why, and when to decide again at the latest."""

    run: bool
    why: str
    next: datetime


def decide(schedule: Cron, zone: tzinfo, now: datetime, state: State) -> Decision:
    """Return whether a run is due.

    However many were missed, one makes up for them. A last run that is yet to come tells of a clock that was wrong.
    """
    following = cron.after(schedule, now, zone)
    if not state.last_run:
        return Decision(True, "there was no run yet", following)
    last = datetime.fromtimestamp(state.last_run, UTC)
    if last > now + AHEAD:
        return Decision(True, f"the clock was wrong: the last run is of {last:%Y-%m-%d %H:%M} UTC", following)
    due = cron.latest(schedule, now, zone)
    if last < due:
        return Decision(True, f"it was due at {due.astimezone(zone):%Y-%m-%d %H:%M %Z}", following)
    tries = state.failures_in_a_row
    if state.last_result not in ("", "success") and 0 < tries <= len(RETRIES):
        again = last + RETRIES[tries - 1]
        if again <= now:
            return Decision(True, f"the last run failed; this is try {tries + 1}", following)
        return Decision(False, "the last run failed", min(again, following))
    return Decision(False, "", following)


def drill_due(schedule: Cron, zone: tzinfo, now: datetime, state: State, *, sealed: bool) -> bool:
    """Tell whether a restore is to be tried again, as whoever needs the newest backup would have to do it.

    Each backup has been restored as it was made. What that has not shown is whether the key fits, so the first that is
    encrypted is tried at once; and while it does not work, it is tried every day.
    """
    if not state.last_success:
        return False
    if state.last_drill_result == "failure" and now.timestamp() - state.last_drill >= DAILY.total_seconds():
        return True
    last = datetime.fromtimestamp(state.last_drill or (0.0 if sealed else state.first_run), UTC)
    return last < cron.latest(schedule, now, zone) or last > now + AHEAD


def overdue(state: State, now: datetime, began: datetime, limit: timedelta) -> bool:
    """Tell whether the last success is too long ago; without any, the service's own start counts."""
    last = datetime.fromtimestamp(state.last_success, UTC) if state.last_success else began
    return now - last > limit
