"""What a monitoring system reads of the archive: a text file in Prometheus' format."""

from __future__ import annotations

from server import reach
from server.repository import Contents

PREFIX = "scaffold_pitr_"


def render(now: float, contents: Contents, waiting: int, *, failing: bool) -> str:
    """Return the metrics; times are seconds since the epoch, 0 where there is none."""
    windows = reach.windows(*contents)
    start, end = (windows[-1].start, windows[-1].end) if windows else (0.0, 0.0)
    ends = {
        kind: max((each.ended for each in contents.backups if each.kind == kind), default=0.0)
        for kind in ("full", "diff")
    }
    values: list[tuple[str, str, float]] = [
        ("looked_timestamp_seconds", "When the archive was last looked at.", now),
        ("reach_from_timestamp_seconds", "Since when every moment can be reached.", start),
        ("reach_until_timestamp_seconds", "Until when every moment can be reached.", end),
        ("gaps", "Places in the archive where segments are missing.", float(len(list(reach.gaps(*contents))))),
        ("archiving_failing", "Whether the last segment could not be archived.", float(failing)),
        ("segments_waiting", "Segments that wait to be archived.", float(waiting)),
        ("last_full_timestamp_seconds", "When the last full base backup ended.", ends["full"]),
        ("last_diff_timestamp_seconds", "When the last differential base backup ended.", ends["diff"]),
        ("backups", "Base backups there are.", float(len(contents.backups))),
        ("backup_bytes", "The size of the newest base backup's database.",
         float(max(contents.backups, key=lambda each: each.ended).size) if contents.backups else 0.0),
    ]  # fmt: skip
    lines = []
    for name, about, value in values:
        lines += [f"# HELP {PREFIX}{name} {about}", f"# TYPE {PREFIX}{name} gauge", f"{PREFIX}{name} {value:.3f}"]
    return "\n".join(lines) + "\n"
