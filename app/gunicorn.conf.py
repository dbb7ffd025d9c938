"""How Gunicorn serves the app; the settings are read here first, so that an unusable one stops the start at once."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

# Nothing loaded at the start becomes garbage; looking for some takes an eighth of the start's time.
gc.disable()

from gunicorn import util  # type: ignore[import-untyped]  # noqa: E402
from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # noqa: E402
from scaffold import database, logs, refusal, saml  # noqa: E402
from scaffold.settings import SettingsError, load  # noqa: E402


class JsonLogger(Logger):  # type: ignore[misc]
    """Gunicorn's own lines, left to the app's formatter; the app writes the access line."""

    def setup(self, _cfg: Any) -> None:
        """Leave the handlers to the root logger."""
        self.error_log.propagate = True
        self.error_log.handlers = []
        self.error_log.addFilter(logs.without_query)

    def reopen_files(self) -> None:
        """Do nothing: there are no files."""


logs.configure()
try:
    settings = load(os.environ)
except SettingsError as error:
    logs.report_uncaught(type(error), error, None)
    sys.exit(1)
logs.configure(settings.log_level, settings.release)
util.write_error = refusal.writer(settings)

wsgi_app = "scaffold:create_app()"
bind = "0.0.0.0:8000"
workers = settings.web_workers
threads = settings.web_threads
worker_class = "gthread"
preload_app = True
logger_class = JsonLogger
accesslog = None
proc_name = "scaffold"

# Only /tmp is writable, and it may be on disk: the workers' heartbeat goes to memory.
worker_tmp_dir = "/dev/shm"  # noqa: S108
control_socket_disable = True

timeout = 30
# Requests in flight are finished within this; the platform must wait longer before it kills.
graceful_timeout = settings.drain_seconds
# Longer than the gateway keeps an idle connection, so that it is never this side that closes a reused one.
keepalive = 75
backlog = 1024
# A signed logout request is long.
limit_request_line = 8190
limit_request_fields = 60
limit_request_field_size = 16380

# What the gateway says is judged by scaffold.forwarded alone: here nobody may set the scheme or a script name.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}


def when_ready(_server: Any) -> None:
    """Keep what was loaded before the fork out of garbage collection, so that the workers go on sharing its memory."""
    gc.freeze()
    gc.enable()


def post_fork(_server: Any, worker: Any) -> None:
    """Give each worker connections and a watch of its own."""
    app = worker.app.wsgi()
    database.forget_connections(app)
    app.extensions["outage"].watch()
    saml.after_fork(app)
