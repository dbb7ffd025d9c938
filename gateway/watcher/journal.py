"""JSON lines on standard output: one object a line, each short enough to be written to a pipe in one piece."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping

# A pipe takes up to 4096 bytes at once; longer lines of several processes would mix.
LONGEST = 4000


def line(level: str, logger: str, event: str, fields: Mapping[str, object]) -> str:
    """Return one log line; what is too long is cut and says so."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry: dict[str, object] = {"timestamp": now, "level": level, "logger": logger, "event": event, **fields}
    written = json.dumps(entry, default=str)
    if len(written) > LONGEST:
        kept = {key: shorten(value) for key, value in entry.items()}
        written = json.dumps({**kept, "cut": True}, default=str)
    if len(written) > LONGEST:
        short = {"timestamp": now, "level": level, "logger": logger, "event": shorten(event), "cut": True}
        written = json.dumps(short)
    return written


def shorten(value: object) -> object:
    """Return a value's first 250 characters where it is text, or where its text is longer than that."""
    text = value if isinstance(value, str) else str(value)
    return text[:250] if len(text) > 250 else value


def write(level: str, logger: str, event: str, **fields: object) -> None:
    """Write one line to standard output; a reader that went away is no error."""
    data = (line(level, logger, event, fields) + "\n").encode()
    try:
        os.write(1, data)
    except OSError:
        return


def info(event: str, **fields: object) -> None:
    """Write what happened as planned."""
    write("info", "gateway.watcher", event, **fields)


def warning(event: str, **fields: object) -> None:
    """Write what somebody may want to know."""
    write("warning", "gateway.watcher", event, **fields)


def error(event: str, **fields: object) -> None:
    """Write what went wrong."""
    write("error", "gateway.watcher", event, **fields)
