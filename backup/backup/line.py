"""The project's log line: one JSON object with timestamp, level, logger and event first, as in every component."""

from __future__ import annotations

import json
import sys
import time

LOGGER = "backup"


def timestamp(now: float) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    milliseconds = int(now * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"


def render(level: str, message: str, **fields: object) -> str:
    """Return a log line of JSON in ASCII, which no terminal or log driver can break."""
    head = {"timestamp": timestamp(time.time()), "level": level, "logger": LOGGER, "event": message}
    return json.dumps({**head, **fields}, separators=(",", ":"), default=str)


def say(level: str, message: str, **fields: object) -> None:
    """Print a log line at once."""
    sys.stdout.write(render(level, message, **fields) + "\n")
    sys.stdout.flush()
