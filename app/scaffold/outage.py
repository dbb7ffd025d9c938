"""While the database is known to be of no use nobody waits for it: requests are answered at once, until it is back.

It is when it is offline, and when its schema is one that this image cannot work with.
"""

from __future__ import annotations

import threading
import time

import structlog
from flask import Flask

from .health import Readiness

log = structlog.stdlib.get_logger(__name__)

# Seconds between two looks at the database, while it is well and while it is not.
WELL, OFFLINE = 1.0, 0.25
# Looks in a row that end without any answer before that counts as offline: a machine that is busy answers late, and to
# turn everybody away for it would make an outage of a delay.
PATIENT_LOOKS = 3


class Outage:
    """Begins with the first request, probe or look that finds the database offline, and ends with a look that does not.

    Each worker process looks by itself, so that all of them know even when the database hangs and no request fails.
    """

    def __init__(self, readiness: Readiness) -> None:
        self.readiness = readiness
        self.lock = threading.Lock()
        self.since: float | None = None
        self.watching = False
        self.woken = threading.Event()

    @property
    def active(self) -> bool:
        """Whether the database was of no use when last looked at."""
        return self.since is not None

    def begin(self, error: str | None, reason: str | None = "database") -> None:
        """Note that the database was found offline, or with a schema that this image would only do harm on."""
        with self.lock:
            if self.since is not None:
                return
            self.since = time.monotonic()
        log.warning("schema does not fit" if reason == "schema" else "database offline", error=error)
        self.watch()
        self.woken.set()

    def end(self) -> None:
        """Note that the database answers."""
        with self.lock:
            since, self.since = self.since, None
        if since is not None:
            log.info("database back", seconds=round(time.monotonic() - since, 2))

    def watch(self) -> None:
        """Look at the database from now on; must be called after a fork, as threads do not survive one."""
        with self.lock:
            if self.watching:
                return
            self.watching = True
        threading.Thread(target=self._watch, name="outage", daemon=True).start()

    def _watch(self) -> None:
        slow = 0
        try:
            while True:
                verdict = self.readiness.check()
                slow = slow + 1 if verdict.slow else 0
                if verdict.ready:
                    self.end()
                elif not verdict.slow or slow >= PATIENT_LOOKS:
                    self.begin(verdict.detail, verdict.reason)
                self.woken.clear()
                self.woken.wait(OFFLINE if self.active or slow else WELL)
        finally:
            # Whatever happened: nobody may be turned away for longer than somebody looks.
            with self.lock:
                self.since, self.watching = None, False


def init_app(app: Flask) -> None:
    """Make the app's one outage, which `health` and `maintenance` use."""
    app.extensions["outage"] = Outage(app.extensions["readiness"])
