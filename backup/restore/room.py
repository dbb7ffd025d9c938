"""How much room the database's disk has, as the stack's own database tells whoever restores."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from backup.connection import Session
from backup.error import StopError
from backup.url import Postgres
from restore import databases
from restore.error import TransientError

QUESTION = "SELECT public.free_bytes()"
EVERY_SECONDS = 1.0


class Room:
    """Asks now and then; a server that does not tell, such as a managed one, is not asked again."""

    def __init__(self, target: Postgres | None) -> None:
        """Take the way in as the role that may ask."""
        self.target = target
        self.asked = 0.0
        self.bytes: int | None = None

    def free(self) -> int | None:
        """Return the free bytes of the database's disk; None where nobody says, or has said so for a while."""
        now = time.monotonic()
        if self.target is None or (self.asked and now - self.asked < EVERY_SECONDS):
            return self.bytes
        self.asked = now
        self.bytes = None
        try:
            with databases.session(self.target) as server:
                self.bytes = self._asked(server)
        except (StopError, TransientError):
            # The server is away: what is being done finds that out by itself.
            return None
        return self.bytes

    def renew(self) -> None:
        """Have it asked anew the next time, however short ago it was asked."""
        self.asked = 0.0

    def _asked(self, server: Session) -> int | None:
        try:
            row: Any = server.execute(QUESTION).fetchone()
        except (psycopg.errors.UndefinedFunction, psycopg.errors.InsufficientPrivilege):
            self.target = None
            return None
        return None if row is None or row[0] is None else int(row[0])
