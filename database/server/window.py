"""`window`: tells what can be reached; with `seal`, up to this very moment."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from server import archiving, line, moment, pgbackrest, psql, reach, repository, roles
from server.error import StopError
from server.repository import Contents

SEAL_SECONDS = 60.0
POLL_SECONDS = 0.2
# A commit from now on, so that a recovery to any moment before it finds something later to stop at.
SEAL = "SELECT pg_logical_emit_message(true, 'server', 'seal'); SELECT pg_walfile_name(pg_switch_wal());"


def main(*, seal: bool) -> int:
    """Print what can be reached as one object of JSON and return 0; 1 with the reason when that cannot be told."""
    try:
        archiving.needed(os.environ)
        sealed = sealed_now() if seal else ""
        document = described(repository.look()) | ({"sealed": not sealed, "why": sealed} if seal else {})
    except (StopError, pgbackrest.ToolError) as error:
        line.say("error", str(error))
        return 1
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


def described(contents: Contents) -> dict[str, Any]:
    """Return what can be reached, the backups, and the gaps, as plain data."""
    backups, archive = contents
    return {
        "windows": [
            {"timeline": each.timeline, "from": moment.shown(each.start), "until": moment.shown(each.end)}
            for each in reach.windows(backups, archive)
        ],
        "backups": [
            {"label": each.label, "kind": each.kind, "ended": moment.shown(each.ended), "bytes": each.size}
            for each in backups
        ],
        "gaps": [
            {"from": repository.name_of(timeline, first), "until": repository.name_of(timeline, last)}
            for timeline, first, last in reach.gaps(backups, archive)
        ],
    }


def sealed_now() -> str:
    """Have everything that is committed by now archived; return why it is not, or nothing."""
    try:
        name = psql.query(roles.connection("postgres"), SEAL).splitlines()[-1]
    except psql.SqlError as error:
        return f"the server does not answer: {error}"
    timeline, segment = repository.numbers(name)
    deadline = time.monotonic() + SEAL_SECONDS
    while time.monotonic() < deadline:
        try:
            if segment in repository.look().archive.segments.get(timeline, {}):
                return ""
        except pgbackrest.ToolError as error:
            return str(error)
        time.sleep(POLL_SECONDS)
    return f"the segment {name} was not archived within {SEAL_SECONDS:.0f} s"


def in_words(contents: Contents) -> str:
    """Return what can be reached, in a sentence."""
    found = reach.windows(*contents)
    if not found:
        return "nothing can be reached: the archive holds no backup with all of its segments"
    spans = [f"{moment.shown(each.start)} to {moment.shown(each.end)}" for each in found]
    return f"what can be reached is {', and '.join(spans)}"
