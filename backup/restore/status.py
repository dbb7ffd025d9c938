"""`status`: what the restore service does now; with --check, whether it is well."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

from backup import line
from backup.error import StopError
from restore import follow, settings, state

# A statement of the server's may take so long without anything being told.
WORKING_SECONDS = 1200.0
SPARE_SECONDS = 30.0


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Print the state in words, with --json as it is; with --check return 0 only for a service that is well."""
    if list(arguments) not in ([], ["--json"], ["--check"]):
        sys.stderr.write(f"restore status: got {' '.join(arguments)!r}, wanted nothing, --json or --check\n")
        return 2
    try:
        chosen = settings.read(environ)
    except StopError as error:
        line.say("error", str(error))
        return 1
    found, age = state.read(chosen.state)
    trouble = ill(found, age, chosen.poll)
    if "--check" in arguments:
        if trouble:
            sys.stderr.write(f"{trouble}\n")
        return 1 if trouble else 0
    if "--json" in arguments:
        sys.stdout.write(json.dumps({**found, "age_seconds": round(age, 1)}, indent=1) + "\n")
    else:
        sys.stdout.write((trouble or follow.where(found)) + "\n")
    return 0


def ill(found: Mapping[str, object], age: float, poll: float) -> str:
    """Return why a service is not well; empty when it is."""
    if not found:
        return "the restore service has written no state: does it run?"
    if found.get("status") == "held":
        return f"held: {found.get('reason', 'somebody has to look')}"
    longest = WORKING_SECONDS if found.get("status") == "working" else 3 * poll + SPARE_SECONDS
    return f"the restore service has not told anything for {age:.0f} s: does it run?" if age > longest else ""
