"""What a monitoring system reads of restores, in Prometheus' format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

PREFIX = "scaffold_restore_"
OUTCOMES = ("done", "rejected", "failed")


def render(receipts: Sequence[Mapping[str, Any]], status: str, queued: int, kept: int) -> str:
    """Return the metrics; times are seconds since the epoch, 0 where there is none."""
    newest = receipts[0] if receipts else {}
    values = [
        ("held", "Whether somebody has to look before anything is restored.", float(status == "held")),
        ("working", "Whether a restore is under way.", float(status == "working")),
        ("queued", "Files that wait.", float(queued)),
        ("kept_databases", "Databases that were live before and are kept.", float(kept)),
        ("last_timestamp_seconds", "When the last restore ended.", moment(newest.get("ended"))),
        ("last_success", "Whether the last restore succeeded.", float(newest.get("outcome") == "done")),
        ("last_downtime_seconds", "How long the app was down for it.", float(newest.get("downtime_seconds") or 0)),
        ("last_rows", "The rows that it brought.", float(newest.get("rows") or 0)),
    ]
    lines = []
    for name, about, value in values:
        lines += [f"# HELP {PREFIX}{name} {about}", f"# TYPE {PREFIX}{name} gauge", f"{PREFIX}{name} {value:.3f}"]
    lines += [f"# HELP {PREFIX}restores Restores with a receipt.", f"# TYPE {PREFIX}restores gauge"]
    ends = [receipt.get("outcome") for receipt in receipts]
    lines += [f'{PREFIX}restores{{outcome="{word}"}} {ends.count(word)}' for word in OUTCOMES]
    return "\n".join(lines) + "\n"


def moment(text: object) -> float:
    """Return a receipt's time as seconds; 0 for none."""
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) and text else 0.0
