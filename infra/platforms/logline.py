"""What a container wrote, as a person reads it: its JSON lines become words, everything else stays as it is."""

from __future__ import annotations

import json

LAST_LINES = 40
LAST_OF_TRACEBACK = 5
NOT_SHOWN = frozenset({"event", "exception", "level", "logger", "release", "timestamp"})


def readable(line: str) -> list[str]:
    """Return a JSON log line as a person reads it: level, event, details, and the end of a traceback."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or "event" not in entry:
        return [line]
    details = {key: value for key, value in entry.items() if key not in NOT_SHOWN}
    said = f"{entry.get('level', '')}: {entry['event']}" + "".join(f" {key}={value}" for key, value in details.items())
    return [said, *(f"  {each}" for each in str(entry.get("exception", "")).strip().splitlines()[-LAST_OF_TRACEBACK:])]


def last_lines(logs: str) -> str:
    """Return the end of a log, indented; or that there is none."""
    lines = [part for line in logs.strip().splitlines() for part in readable(line)][-LAST_LINES:]
    return "\n".join(f"    {line}" for line in lines) or "    (it printed nothing)"
