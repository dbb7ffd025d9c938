"""What a monitoring system reads: a text file in Prometheus' format."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from backup import durable
from backup.catalogue import Entry
from backup.pitr import Seen
from backup.state import State

PREFIX = "scaffold_backup_"


def render(
    state: State,
    entries: Sequence[Entry],
    now: datetime,
    next_run: datetime | None,
    overdue: bool,
    archive: Seen | None = None,
) -> str:
    """Return the metrics; times are seconds since the epoch, 0 where there is none."""
    good = [entry for entry in entries if entry.good and entry.manifest is not None]
    newest = good[-1].manifest if good else None
    states = [entry.state for entry in entries]
    values: list[tuple[str, str, float]] = [
        ("last_run_timestamp_seconds", "When the last run ended.", state.last_run),
        ("last_run_success", "Whether the last run succeeded.", float(state.last_result == "success")),
        ("last_run_duration_seconds", "How long the last run took.", state.last_seconds),
        ("last_success_timestamp_seconds", "When a run last succeeded.", state.last_success),
        ("last_verified_timestamp_seconds", "When the newest backup that counts was begun.",
         newest.at.timestamp() if newest else 0.0),
        ("age_seconds", "The age of the newest backup that counts; -1 without any.",
         now.timestamp() - newest.at.timestamp() if newest else -1.0),
        ("size_bytes", "The size of the newest backup that counts.", float(newest.bytes) if newest else 0.0),
        ("rows", "The rows in the newest backup that counts.", float(newest.rows) if newest else 0.0),
        ("last_drill_timestamp_seconds", "When a restore was last tried with the key.", state.last_drill),
        ("last_drill_success", "Whether that worked.", float(state.last_drill_result == "success")),
        ("failures_in_a_row", "The runs that failed since the last success.", float(state.failures_in_a_row)),
        ("next_run_timestamp_seconds", "When the next run is due.", next_run.timestamp() if next_run else 0.0),
        ("overdue", "Whether the last success is too long ago.", float(overdue)),
    ]  # fmt: skip
    if archive:
        values += [
            ("archive_failing", "Whether the database's archive is in trouble.", float(bool(archive.trouble))),
            ("archive_gaps", "Places in it where segments are missing; -1 where nobody knows.",
             -1.0 if archive.gaps is None else float(len(archive.gaps))),
        ]  # fmt: skip
    lines = []
    for name, about, value in values:
        lines += [f"# HELP {PREFIX}{name} {about}", f"# TYPE {PREFIX}{name} gauge", f"{PREFIX}{name} {value:.3f}"]
    lines += [f"# HELP {PREFIX}failures_total Runs that failed.", f"# TYPE {PREFIX}failures_total counter"]
    lines += [f"{PREFIX}failures_total {state.failures}"]
    lines += [f"# HELP {PREFIX}backups Backups there are.", f"# TYPE {PREFIX}backups gauge"]
    lines += [
        f'{PREFIX}backups{{state="{name}"}} {states.count(name)}'
        for name in ("none", "read", "restored", "drilled", "suspect", "broken")
    ]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Write the metrics where they are read."""
    durable.write(path, text.encode())
