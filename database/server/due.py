"""Which backup is due, and whether the clock can be believed when old ones are given up."""

from __future__ import annotations

from collections.abc import Sequence

from server.archiving import Archiving
from server.reach import Backup

DAY = 86_400


def day(moment: float, hour: int) -> int:
    """Return a moment's day, counted from an hour of UTC."""
    return int((moment - hour * 3600) // DAY)


def kind(now: float, mine: Sequence[Backup], plan: Archiving, *, gap: bool) -> str:
    """Return the backup that is due, full or diff, or nothing; `mine` are those of the timeline that lives.

    What was missed is due at once, and once.
    """
    fulls = [backup.began for backup in mine if backup.kind == "full"]
    if not fulls or gap:
        return "full"
    today = day(now, plan.hour)
    if today - day(max(fulls), plan.hour) >= plan.full_days:
        return "full"
    last = max(backup.began for backup in mine)
    if plan.diff_days and today - day(last, plan.hour) >= plan.diff_days:
        return "diff"
    return ""


def may_expire(now: float, before: float | None, plan: Archiving) -> bool:
    """Return whether old backups may go: not when the last one before seems too long ago, which a clock may have made.

    The next one is near enough, so that nothing is kept for ever after a stack stood still.
    """
    return before is not None and 0 <= now - before <= (2 * plan.full_days + 1) * DAY
