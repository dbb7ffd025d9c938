"""The project's log line: one JSON object with timestamp, level, logger and event first, as in every component.

With `LOG_FORMAT=text` a line is for the person who typed the command.
"""

from __future__ import annotations

import json
import os
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


def words(level: str, message: str, **fields: object) -> str:
    """Return a log line as a person reads it, its control characters made visible."""
    begin = f"{level}: " if level in ("warning", "error") else ""
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fields.items() if value is not None)
    text = f"{begin}{message}" + (f" ({told})" if told else "")
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def say(level: str, message: str, **fields: object) -> None:
    """Print a log line at once; what is for whoever looks for a fault is no news for a person."""
    if os.environ.get("LOG_FORMAT") != "text":
        sys.stdout.write(render(level, message, **fields) + "\n")
    elif level != "debug":
        sys.stdout.write(words(level, message, **fields) + "\n")
    sys.stdout.flush()
