"""The last lines that a container logged, as a receipt may keep them: few, short, and without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

LINES = 40
CHARACTERS = 400
PIECES = 200
"""How many of a log's pieces are asked for: of 16 KiB at the most, and a long line is several."""
FRAME = 8
"""Bytes before each piece of a log: which stream it is of, and its length."""
HIDDEN = "***"
NOT_SHOWN = frozenset({"event", "exception", "level", "logger", "release", "timestamp"})

CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A password may hold an @ of its own, so the last one counts.
IN_URL = re.compile(r"(?P<kept>[a-z][a-z0-9+.-]{0,30}://)[^\s\"'<>]*@", re.IGNORECASE)
NAMED = re.compile(
    r"(?P<kept>(?:passw|passphrase|pwd|secret|token|credential|authorization|cookie|key\b)[\w-]{0,30}\\?[\"']?\s*[=:]\s*)"
    r"(?:(?:bearer|basic)\s+)?(?:\\?\"(?:[^\"\\]|\\[^\"])*\\?\"|'[^']*'|[^\s,;)\]}]+)",
    re.IGNORECASE,
)
# Rows and parameters of statements are somebody's data.
VALUES = re.compile(r"(?P<kept>\)=\()[^)]*|(?P<row>contains \()[^)]*|(?P<bound>\[parameters: ).*")
LONG = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")
PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*", re.DOTALL)


def pieces(framed: bytes) -> Iterator[bytes]:
    """Return a log's pieces; the last one may have been cut off."""
    while len(framed) > FRAME:
        length = int.from_bytes(framed[4:FRAME], "big")
        yield framed[FRAME : FRAME + length]
        framed = framed[FRAME + length :]


def of_container(framed: bytes) -> tuple[str, ...]:
    """Return the last lines of a log in the daemon's framing."""
    return last(b"".join(pieces(framed)).decode("utf-8", "replace"))


def last(text: str) -> tuple[str, ...]:
    """Return the last lines of a log, cleaned."""
    lines = [readable(line) for line in text.splitlines()[-LINES:]]
    return tuple(cleaned(line) for line in lines if line.strip())


def readable(line: str) -> str:
    """Return a JSON log line as a person reads it: level, event, details, and the last line of a traceback."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(entry, dict) or "event" not in entry:
        return line
    details = "".join(f" {key}={value}" for key, value in entry.items() if key not in NOT_SHOWN)
    why = str(entry.get("exception", "")).strip().splitlines()[-1:]
    return ": ".join([str(entry.get("level", "")), f"{entry['event']}{details}", *why])


def cleaned(line: str) -> str:
    """Return a line without secrets and control characters, cut to a length."""
    # Cut first to what a pattern can be tried on quickly, and again to what is kept: a secret that is cut is one still.
    text = CONTROL.sub(" ", line[: 4 * CHARACTERS])
    text = PEM.sub(HIDDEN, text)
    text = IN_URL.sub(rf"\g<kept>{HIDDEN}@", text)
    text = NAMED.sub(rf"\g<kept>{HIDDEN}", text)
    text = VALUES.sub(lambda found: f"{found['kept'] or found['row'] or found['bound']}{HIDDEN}", text)
    text = LONG.sub(lambda found: HIDDEN if opaque(found[0]) else found[0], text)
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"


def opaque(word: str) -> bool:
    """Whether a long word has capitals, small letters and digits, as keys have and digests and names have not."""
    return any(map(str.isupper, word)) and any(map(str.islower, word)) and any(map(str.isdigit, word))
