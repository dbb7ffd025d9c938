"""How much room the volume has, in a file that the server itself reads: a restore asks before it fills the disk."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from server import volume

NAME = "room.json"
EVERY_SECONDS = 5.0
# What has changed by more is told at once: a restore fills a disk by hundreds of megabytes in a second.
STEP_BYTES = 16 << 20

# What the server makes of the file: nothing where it is old, and whoever is told knows that nobody knows.
SOURCE = (
    f"SELECT (pg_read_file('{NAME}')::json->>'free_bytes')::bigint "
    f"WHERE (pg_stat_file('{NAME}', true)).modification > now() - interval '1 minute'"
)
FUNCTION = "public.free_bytes()"


class Room:
    """Writes the free bytes of a folder's disk every few seconds, and sooner while they change."""

    def __init__(self, folder: Path) -> None:
        """Take the server's data directory."""
        self.path = folder / NAME
        self.told = 0.0
        self.free = 0

    def tick(self) -> None:
        """Write them when what is told is not so any more; what cannot be written is old, and so counts as unknown."""
        now = time.monotonic()
        with contextlib.suppress(OSError):
            about = os.statvfs(self.path.parent)
            free = about.f_bavail * about.f_frsize
            if self.told and now - self.told < EVERY_SECONDS and abs(free - self.free) < STEP_BYTES:
                return
            self.told, self.free = now, free
            volume.post(self.path, json.dumps({"free_bytes": free}))
