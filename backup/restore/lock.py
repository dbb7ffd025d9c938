"""The lock on the server that migrations, the ledger and restores take (docs/adr/0020)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from backup import connection, line
from backup.connection import Session, words
from backup.error import StopError
from backup.url import Postgres
from restore import databases
from restore.error import TransientError

# "scaf", as the app's own code has it.
CLASS = 0x73636166
LOOK_SECONDS = 2
HOLDER = """
SELECT a.pid, a.usename, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objsubid = 2
    AND l.objid::bigint = (hashtext(%s)::bigint + 4294967296) %% 4294967296
"""

Tick = Callable[[Mapping[str, object]], None]


class Lock:
    """The lock for one database, held by a session of its own for as long as that lives."""

    def __init__(self, target: Postgres) -> None:
        """Take where the server is."""
        self.target = target
        self.session: Session | None = None

    def hold(self, job: str, seconds: float, tick: Tick) -> None:
        """Hold the lock, waiting for whoever has it; raise StopError that names them when that takes too long."""
        if self.alive():
            return
        try:
            self.session = connection.connect(databases.at(self.target, databases.MAINTENANCE))
            self.session.execute("SELECT set_config('application_name', %s, false)", (f"scaffold restore {job}",))
            self.session.execute(f"SET lock_timeout = '{LOOK_SECONDS}s'")
            self.take(self.session, seconds, tick)
        except StopError as error:
            self.release()
            raise error if isinstance(error, WaitedError) else TransientError(str(error)) from None
        except psycopg.Error as error:
            self.release()
            raise TransientError(f"the server was lost: {words(error)}") from None

    def take(self, session: Session, seconds: float, tick: Tick) -> None:
        """Wait for the lock, telling now and then who has it."""
        deadline = time.monotonic() + seconds
        told = False
        while True:
            try:
                session.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (CLASS, self.target.database))
            except psycopg.errors.LockNotAvailable:
                holder: Any = session.execute(HOLDER, (CLASS, self.target.database)).fetchone()
                who = ", ".join(str(part) for part in holder if part) if holder else "somebody who is gone now"
                if time.monotonic() > deadline:
                    raise WaitedError(
                        f"a migration held the lock for {seconds:.0f} s: {who}. Let it end and put the file in again, "
                        f"or set RESTORE_LOCK_WAIT"
                    ) from None
                if not told:
                    line.say("info", "waiting for a migration to end", holder=who)
                told = True
                tick({"waiting": f"a migration or an update has the lock: {who}"})
            else:
                return

    def alive(self) -> bool:
        """Tell whether it is held still."""
        if self.session is None:
            return False
        try:
            self.session.execute("SELECT 1")
        except psycopg.Error:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let it go."""
        if self.session is not None:
            with contextlib.suppress(psycopg.Error):
                self.session.close()
        self.session = None


class WaitedError(StopError):
    """Somebody held the lock for longer than this waits."""
