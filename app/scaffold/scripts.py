"""Pages that run a script of this site: only passkeys need one, and no other page lets any run."""

from __future__ import annotations

from flask import Response, make_response

from .security_headers import content_security_policy


def allowed(page: str, status: int = 200) -> Response:
    """Return a page as an answer on which this site's own scripts may run."""
    response = make_response(page, status)
    response.headers["Content-Security-Policy"] = content_security_policy(script_src="'self'")
    return response
