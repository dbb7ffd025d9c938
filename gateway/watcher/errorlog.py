"""Nginx's error log as JSON lines: parsed, without queries, and with a traceback in one field."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Iterator

from watcher import journal

ENTRY = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] (\d+)#\d+: (?:\*(\d+) )?(.*)", re.DOTALL)
CONTEXT = re.compile(r', (client|server|request|upstream|host|referrer|subrequest): ("(?:[^"\\]|\\.)*"|[^,"]*)')
# To the next blank; a quotation mark that ends the field stays, one inside the query does not end it.
QUERY = re.compile(r"""\?\S*?(?=["']?,?(?:\s|\Z))""")
LEVELS = {"debug": "debug", "info": "info", "notice": "info", "warn": "warning", "error": "error"}
LONGEST_ENTRY = 16384


def fields(entry: str) -> tuple[str, str, dict[str, object]]:
    """Return an entry's level, message and fields; queries are cut, since they may carry secrets."""
    entry = QUERY.sub("?…", entry)
    found = ENTRY.fullmatch(entry)
    if not found:
        return "error", entry, {}
    level, process, connection, message = found.groups()
    extra: dict[str, object] = {"pid": int(process)}
    if connection:
        extra["connection"] = int(connection)
        for name, value in CONTEXT.findall(message):
            # Nginx escapes nothing in the referrer, which comes last: what it says of other fields is not believed.
            extra.setdefault(name, value.strip('"'))
        message = CONTEXT.sub("", message)
    return LEVELS.get(level, "critical"), message, extra


def entries(text: str) -> Iterator[str]:
    """Return the entries of a text; lines that begin none belong to the one before."""
    gathered: list[str] = []
    for line in text.splitlines():
        if ENTRY.match(line) and gathered:
            yield "\n".join(gathered)
            gathered = []
        gathered.append(line)
    if gathered:
        yield "\n".join(gathered)


def write(text: str) -> None:
    """Write what Nginx said as log lines."""
    for entry in entries(text):
        level, message, extra = fields(entry[:LONGEST_ENTRY])
        journal.write(level, "gateway.nginx", message, **extra)


def follow(descriptor: int) -> None:
    """Write what comes from a pipe until it ends; an entry is complete when nothing follows it for a moment."""
    pending = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], 0.05 if pending.endswith(b"\n") else None)
        if not ready:
            write(pending.decode("utf-8", "replace"))
            pending = b""
            continue
        piece = os.read(descriptor, 65536)
        if not piece:
            break
        pending += piece
        if len(pending) > 8 * LONGEST_ENTRY:
            whole, newline, rest = pending.rpartition(b"\n")
            write((whole if newline else rest).decode("utf-8", "replace"))
            pending = rest if newline else b""
    if pending:
        write(pending.decode("utf-8", "replace"))
