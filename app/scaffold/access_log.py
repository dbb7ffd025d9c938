"""One line in the log for each request, without its query string, which may carry what must not be kept."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import structlog
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.stdlib.get_logger("scaffold.access")

# Asked every few seconds for ever: worth a line only when the answer is bad.
PROBES = ("/healthz", "/readyz")


class AccessLog:
    """WSGI middleware that writes the line when the response has been handed over."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request and note how it went."""
        began = time.perf_counter()
        answered: dict[str, str] = {}

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            answered["status"] = status
            return start_response(status, headers, *rest)

        def note() -> None:
            status = int(answered.get("status", "500")[:3])
            path = environ.get("PATH_INFO", "")
            write = log.debug if path in PROBES and status == 200 else log.info
            write(
                "request",
                method=environ.get("REQUEST_METHOD"),
                path=path,
                status=status,
                duration_ms=round((time.perf_counter() - began) * 1000, 1),
                client=environ.get("REMOTE_ADDR"),
            )

        return ClosingIterator(self.app(environ, start), note)
