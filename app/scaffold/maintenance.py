"""The answer while the database is offline: the page that was rendered at deploy, or a problem document."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

import structlog
from flask import Flask, Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from . import database, request_id
from .outage import Outage
from .representation import problem, wants_json
from .security_headers import content_security_policy
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)

# The gateway's server-side include, in the page that both serve.
PLACEHOLDER = '<!--# echo var="request_id" -->'

BUILT_IN = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Back soon</title>
<style>
body {{ font: 1.0625rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem }}
h1 {{ font-size: 1.75rem; line-height: 1.2 }}
small {{ opacity: .7 }}
</style>
</head>
<body>
<h1>Back soon</h1>
<p>The site is not available right now. Please try again in a moment.</p>
<p><small>Reference: <code>{PLACEHOLDER}</code></small></p>
</body>
</html>
"""


def read_page(path: Path) -> str:
    """Return the rendered page, or the built-in one when the file cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        log.warning("maintenance page cannot be read, using the built-in one", path=str(path), error=str(error))
        return BUILT_IN


def style_sources(page: str) -> str:
    """Return the hashes of the page's own styles, as a policy's sources, so that nothing else may style it."""
    styles = re.findall(r"<style[^>]*>(.*?)</style>", page, re.DOTALL | re.IGNORECASE)
    digests = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


class Page:
    """The page, and what a browser may do with it."""

    def __init__(self, text: str, retry_after: int) -> None:
        self.text = text
        self.retry_after = retry_after
        self.policy = content_security_policy(style_src=style_sources(text), img_src="'self' data:")

    def response(self, reference: str, *, as_json: bool) -> Response:
        """Return the 503 answer; it must not be kept by anybody."""
        if as_json:
            detail = "The site is not available right now. Please try again in a moment."
            response = problem(503, "Service Unavailable", detail, reference)
        else:
            body = self.text.replace(PLACEHOLDER, html.escape(reference))
            response = Response(body, status=503, content_type="text/html; charset=utf-8")
            response.headers["Content-Security-Policy"] = self.policy
        response.headers["Retry-After"] = str(self.retry_after)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Vary"] = "Accept"
        return response


def init_app(app: Flask, settings: Settings) -> None:
    """Answer with the page whenever a request finds the database offline."""
    outage: Outage = app.extensions["outage"]
    page = Page(read_page(settings.maintenance_page_file), settings.maintenance_retry_after)

    def answer(error: Exception) -> Response:
        if not database.is_offline(error):
            raise error
        outage.begin(database.reason(error))
        return unavailable()

    def unavailable() -> Response:
        return page.response(request.environ[request_id.KEY], as_json=wants_json(request))

    @app.before_request
    def answer_at_once() -> Response | None:
        """Answer without asking a database that is known to be offline; what needs none is served as ever."""
        if not outage.active or request.endpoint == "static" or request.blueprint == "health":
            return None
        return unavailable()

    app.register_error_handler(DBAPIError, answer)
    app.register_error_handler(PoolTimeout, answer)
