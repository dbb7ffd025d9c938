"""While the database is known to be offline nobody waits for it: requests are answered at once, until it is back."""

from __future__ import annotations

import threading
import time

import structlog
from flask import Flask

from .health import Readiness

log = structlog.stdlib.get_logger(__name__)

LOOK_AGAIN = 0.25


class Outage:
    """Begins with the first request or probe that finds the database offline; a thread watches for the end."""

    def __init__(self, readiness: Readiness) -> None:
        self.readiness = readiness
        self.lock = threading.Lock()
        self.since: float | None = None

    @property
    def active(self) -> bool:
        """Whether the database was offline when last looked at."""
        return self.since is not None

    def begin(self, error: str) -> None:
        """Note that the database was found offline."""
        with self.lock:
            if self.since is not None:
                return
            self.since = time.monotonic()
        log.warning("database offline", error=error)
        threading.Thread(target=self._watch, name="outage", daemon=True).start()

    def _watch(self) -> None:
        try:
            while self.readiness.check().reason == "database":
                time.sleep(LOOK_AGAIN)
            log.info("database back", seconds=round(time.monotonic() - (self.since or 0), 2))
        finally:
            # Whatever happened: nobody may be turned away for longer than somebody looks.
            with self.lock:
                self.since = None


def init_app(app: Flask) -> None:
    """Make the app's one outage, which `health` and `maintenance` use."""
    app.extensions["outage"] = Outage(app.extensions["readiness"])
