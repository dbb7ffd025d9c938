"""How much room the database's disk has, as the database's container publishes it."""

from __future__ import annotations

import json
import time
from pathlib import Path

# Older than this, the number says nothing.
OLDEST_SECONDS = 120.0


def free(path: Path | None) -> int | None:
    """Return the free bytes of the database's disk; None where nobody says, or has said so for a while."""
    if path is None:
        return None
    try:
        about = path.stat()
        found = json.loads(path.read_bytes()[:65_536])
        count = int(found["free_bytes"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return count if time.time() - about.st_mtime <= OLDEST_SECONDS else None
