"""Moments as they are written in settings and shown: ISO 8601 in UTC."""

from __future__ import annotations

import calendar
import re
import time

WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
FORM = "%Y-%m-%dT%H:%M:%SZ"


def read(text: str) -> float:
    """Return a moment in seconds since 1970; raise ValueError saying what was wanted."""
    try:
        if WRITTEN.fullmatch(text):
            return float(calendar.timegm(time.strptime(text, FORM)))
    except ValueError:
        pass
    raise ValueError(f"got {text!r}, wanted a moment in UTC such as 2026-11-22T14:05:00Z")


def shown(seconds: float) -> str:
    """Return a moment as it is written."""
    return time.strftime(FORM, time.gmtime(seconds))
