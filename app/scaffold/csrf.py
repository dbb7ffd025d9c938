"""Forms are taken only from pages that this app gave to this browser."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from flask import Flask, Response, abort, current_app, request, session
from markupsafe import Markup

from . import audit, sessions
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)

FIELD, HEADER, KEPT = "csrf_token", "X-CSRF-Token", "csrf"
SAFE = ("GET", "HEAD", "OPTIONS")
SIGNING_IN = "signin"
NONCE = 16

View = TypeVar("View", bound=Callable[..., Any])


def exempt(view: View) -> View:
    """Let a view take what another site's page sends it, such as an identity provider's answer."""
    view.csrf_exempt = True  # type: ignore[attr-defined]
    return view


def token() -> str:
    """Return a token for a form of this page; it is good at this browser until somebody signs in or out."""
    if KEPT not in session:
        session[KEPT] = secrets.token_urlsafe(32)
    nonce = secrets.token_bytes(NONCE)
    return (nonce + proof(session[KEPT], nonce)).hex()


def proof(kept: str, nonce: bytes) -> bytes:
    """Return what shows that a token was made for this browser as it is signed in now; each page's looks different."""
    bound = f"{kept}|{sessions.token_of_request() or ''}"
    return hmac.digest(bound.encode(), b"scaffold form " + nonce, "sha256")


def is_right(given: str) -> bool:
    """Tell whether a token is this browser's."""
    kept = session.get(KEPT)
    if not isinstance(kept, str) or len(given) != 2 * (NONCE + 32):
        return False
    try:
        raw = bytes.fromhex(given)
    except ValueError:
        return False
    return hmac.compare_digest(raw[NONCE:], proof(kept, raw[:NONCE]))


def is_from_elsewhere(settings: Settings) -> bool:
    """Tell whether the browser says that another site's page sent this."""
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return True
    return origin is not None and origin.lower() != settings.site_url


def check() -> Response | None:
    """Refuse what is sent without a token of this browser."""
    if request.method in SAFE or request.endpoint is None:
        return None
    view = current_app.view_functions.get(request.endpoint)
    if getattr(view, "csrf_exempt", False):
        return None
    settings: Settings = current_app.extensions["settings"]
    elsewhere = is_from_elsewhere(settings)
    given = request.headers.get(HEADER) or request.form.get(FIELD, "")
    if elsewhere or not is_right(given):
        reason = "other_site" if elsewhere else "no_token"
        # Of who is not signed in, nothing can be had; and a stranger is not to fill the log by sending things.
        if sessions.current() is not None or request.blueprint == SIGNING_IN:
            audit.record("malicious_csrf", reason=reason)
        else:
            log.warning("refused what came from no page of this site", reason=reason)
        abort(403)
    return None


def field() -> Markup:
    """Return the field that every form of a page has."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, token())


def init_app(app: Flask) -> None:
    """Check everything that is sent, and give templates `csrf_field()`."""
    app.before_request(check)
    app.template_global("csrf_field")(field)
