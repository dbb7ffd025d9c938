"""Durations as Go writes and reads them, in nanoseconds."""

from __future__ import annotations

import re
from fractions import Fraction

UNITS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000,
    "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
}  # fmt: skip
PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def parse_duration(text: str) -> int | None:
    """Return a duration such as `1m0s` in nanoseconds; None when it is not one."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    position, total = 0, Fraction(0)
    while position < len(rest):
        part = PART.match(rest, position)
        if part is None:
            return None
        total += Fraction(part[1].rstrip(".") if part[1] != "." else "0") * UNITS[part[2]]
        position = part.end()
    return sign * int(total) if rest else None


def format_duration(nanoseconds: int) -> str:
    """Return nanoseconds as Go prints them: `0s`, `1.5s`, `1m0s`, `500ms`."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < UNITS["s"]:
        for unit in ("ms", "µs", "ns"):
            if rest >= UNITS[unit]:
                return sign + _decimal(Fraction(rest, UNITS[unit])) + unit
    hours, rest = divmod(rest, UNITS["h"])
    minutes, rest = divmod(rest, UNITS["m"])
    text = _decimal(Fraction(rest, UNITS["s"])) + "s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return sign + (f"{hours}h{text}" if hours else text)


def _decimal(number: Fraction) -> str:
    whole, rest = divmod(number, 1)
    digits = f"{int(rest * 10**9):09d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
