"""`undo`: goes back to the database that was live before a restore, as safely as a restore goes forward."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

from backup import durable, line
from backup.error import StopError
from restore import follow, journal, kept, settings, submit, watch
from restore.kept import Kept
from restore.settings import Settings


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Ask for going back to the newest kept database, or to that of a job; with --wait, see what becomes of it."""
    given = [word for word in arguments if word != "--wait"]
    if len(given) > 1 or any(word.startswith("-") for word in given):
        sys.stderr.write(f"restore undo: got {' '.join(arguments)!r}, wanted nothing or a job, and --wait\n")
        return 2
    try:
        chosen = settings.read(environ)
        since = follow.newest(chosen)
        wanted = find(there(chosen), given[0] if given else "")
        content = json.dumps({"job": wanted.job, "who": submit.user()}).encode()
        durable.write(chosen.folder("requests") / f"{watch.new_id()}.json", content)
    except (StopError, OSError) as error:
        line.say("error", str(error))
        return 1
    line.say("info", "the restore service will go back", database=wanted.name)
    return follow.follow(chosen, since, lambda one: one.get("kind") == "undo") if "--wait" in arguments else 0


def there(chosen: Settings) -> list[Kept]:
    """Return the databases that are kept, oldest first."""
    try:
        records, _, _ = journal.parsed(chosen.journal.read_bytes(), chosen.journal)
    except FileNotFoundError:
        return []
    return kept.of(records)


def find(found: Sequence[Kept], job: str) -> Kept:
    """Return the database that is meant; raise StopError that names those that there are."""
    if not found:
        raise StopError("no database from before a restore is kept, so there is nothing to go back to")
    chosen = next((one for one in reversed(found) if job in ("", one.job)), None)
    if chosen is None:
        raise StopError(f"no database of job {job!r} is kept. There are: {', '.join(one.job for one in found)}")
    return chosen
