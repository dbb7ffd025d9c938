"""`prune`: removes the backups that retention has no reason to keep; never after a failure or a clock's jump."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from backup import bucket, catalogue, clock, fault, hint, line, newest, offsite, retention, settings, state
from backup.catalogue import Entry
from backup.error import StopError
from backup.retention import Candidate, Plan
from backup.settings import Settings
from backup.state import State


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Remove what retention does not keep, or with --dry-run only tell; return 0, or 1 when it is refused."""
    if list(arguments) not in ([], ["--dry-run"]):
        line.say("error", f"prune: got {' '.join(arguments)!r}, wanted nothing or --dry-run")
        return 2
    try:
        chosen = settings.read(environ)
        lock = catalogue.claim(chosen.folder)
        try:
            before = state.read(chosen.folder)
            if before.last_result not in ("", "success"):
                raise StopError(
                    f"nothing is pruned after a failed run ({before.last_error}). Mend that: {hint.command('run')}"
                )
            prune(chosen, before, dry_run=bool(arguments))
            newest.write(chosen)
        finally:
            os.close(lock)
    except (StopError, OSError) as error:
        line.say("error", str(error))
        return 1
    return 0


def automatic(chosen: Settings, before: State, place: bucket.Place | None) -> None:
    """Prune after a run that succeeded, here and elsewhere; what speaks against it is told, and harms no backup."""
    fault.point("prune:before")
    try:
        prune(chosen, before, dry_run=False)
        if place is not None:
            offsite.prune(place, chosen)
    except (StopError, OSError) as error:
        line.say("warning", f"pruning did not come to its end: {error}")


def prune(chosen: Settings, before: State, *, dry_run: bool) -> None:
    """Remove what the plan does not keep; raise StopError when the clock is not believed."""
    entries = catalogue.entries(chosen.folder, chosen.keys)
    newest = max((entry.manifest.at for entry in entries if entry.manifest is not None), default=None)
    doubt = clock.trouble(before.clock, clock.read(), newest)
    if doubt:
        raise StopError(f"nothing is pruned: {doubt}. Set the clock right, then: {hint.command('run')}")
    decided = plan(entries, chosen)
    by_id = {entry.id: entry for entry in entries}
    for identifier in decided.remove:
        line.say("info", "would be removed" if dry_run else "removed", id=identifier, state=by_id[identifier].state)
        if not dry_run:
            catalogue.remove(by_id[identifier])
    for identifier, reasons in decided.keep.items():
        line.say("debug" if not dry_run else "info", "kept", id=identifier, reasons=reasons)
    line.say("info", "retention is done", kept=len(decided.keep), removed=len(decided.remove), dry_run=dry_run)


def plan(entries: Sequence[Entry], chosen: Settings) -> Plan:
    """Return what goes; a backup without a manifest to be believed is nobody's to remove but a person's."""
    candidates = [
        Candidate(entry.id, entry.manifest.at, entry.good, entry.note.pinned)
        for entry in entries
        if entry.manifest is not None
    ]
    return retention.plan(candidates, chosen.policy, chosen.zone)
