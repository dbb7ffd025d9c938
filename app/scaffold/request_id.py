"""The reference of a request: given by the gateway, kept in every log line, sent back, and shown on error pages."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from structlog.contextvars import bind_contextvars, clear_contextvars
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-ID"
KEY = "scaffold.request_id"
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")


def choose(offered: str | None) -> str:
    """Return the offered reference when it is plain enough to log and to show, else a new one."""
    return offered if offered and ACCEPTED.fullmatch(offered) else uuid.uuid4().hex


class RequestId:
    """WSGI middleware that gives each request its reference."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request under its reference."""
        reference = choose(environ.get("HTTP_X_REQUEST_ID"))
        environ[KEY] = reference
        clear_contextvars()
        bind_contextvars(request_id=reference)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, (HEADER, reference)], *rest)

        # Cleared in the end too: what Gunicorn says in this thread before the next request is not about this one.
        return ClosingIterator(self.app(environ, start), clear_contextvars)
