"""What a restore came to, for people: one file for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from restore.job import Job
from restore.settings import Settings

ENDS = {"rejected": "rejected", "failed": "failed"}


def of(chosen: Settings, job: Job, kept: Mapping[str, Any] | None, now: float) -> dict[str, Any]:
    """Return a job's receipt."""
    data, times = job.data, job.times
    stopped, back = times.get("stop.begin.first"), times.get("start.done") or times.get("restart.done")
    taken = times.get("load.begin.first") or stopped
    told: dict[str, Any] = {
        "job": job.id,
        "kind": "undo" if job.order == "undo" else "restore",
        "order": job.order,
        "database": chosen.database,
        "outcome": ENDS.get(job.verdict, "done"),
        "reason": job.reason,
        "failed_at": job.failed_at,
        "file": data.get("name", ""),
        "sha256": data.get("sha256", ""),
        "bytes": data.get("bytes", 0),
        "who": data.get("who", ""),
        "source": data.get("source", ""),
        "backup": data.get("backup", ""),
        "backup_created": data.get("backup_created", ""),
        "began": moment(times.get("claim.begin.first")),
        "ended": moment(now),
        "rows": data.get("rows", 0),
        "tables": data.get("tables", 0),
        "schema": data.get("head", ""),
        "upgraded": bool(data.get("upgraded")),
        "stopped": [unit[0] for unit in data.get("units", ()) if unit[1] == "running"],
        "stopped_at": moment(stopped),
        "running_at": moment(back),
        "downtime_seconds": round(back - stopped, 3) if stopped and back else 0.0,
        "previous": kept["name"] if kept else "",
        "kept_until": until(chosen, now) if kept else "",
        "room": data.get("room", "unknown"),
        "security": data.get("security", {}),
        "security_unread": data.get("security_unread", {}),
        "security_late": data.get("security_late", {}),
        "live_trouble": data.get("live_trouble", ""),
        "unhealthy": data.get("unhealthy", []),
        "rights_left": data.get("rights_left", []),
        "ignored": data.get("load_ignored", []),
    }
    if not job.verdict:
        # What visitors wrote in between is in the database that is kept, and not in the one that is live.
        told["discarded"] = {
            "rows_written": data.get("discarded", 0),
            "from": data.get("backup_created") or moment(taken),
            "loading_began": moment(taken),
            "to": moment(stopped),
        }
    return told


def moment(seconds: float | None) -> str:
    """Return a time as text; empty for none."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else ""


def until(chosen: Settings, now: float) -> str:
    """Return until when the database that was live before is kept at the longest."""
    return moment(now + chosen.keep_hours * 3600) if chosen.keep_hours else ""


def read(folder: Path) -> list[dict[str, Any]]:
    """Return all receipts, newest first; one that cannot be read is passed over."""
    found = []
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            found.append(document)
    return found
