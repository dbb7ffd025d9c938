"""Counts, and when certificates end, for Prometheus, behind a token: there is no such page without one.

They are kept by the database, which counts when the audit log is added to: they are the same whichever worker of
whichever replica is asked, and go on through releases. So they are not to be added up over replicas.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from flask import Blueprint, Flask, Response, abort, current_app, request

from . import audit
from .database import db
from .settings import Settings

blueprint = Blueprint("metrics", __name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
EVENTS = "scaffold_auth_events_total"


@blueprint.get("/metrics")
def metrics() -> Response:
    """Show the counts to whoever has the token."""
    settings: Settings = current_app.extensions["settings"]
    given = request.headers.get("Authorization", "")
    if settings.metrics_token is None:
        abort(404)
    if not hmac.compare_digest(given.encode(), f"Bearer {settings.metrics_token}".encode()):
        response = Response("A token is needed.\n", 401, content_type="text/plain; charset=utf-8")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    shown = text(audit.counts(db.session.connection()))
    configured = current_app.extensions.get("saml")
    if configured is not None:
        from .saml import ends

        shown += ends.text(ends.ends(configured))
    return Response(shown, content_type=CONTENT_TYPE)


def text(counts: Iterable[tuple[str, str, str, int]]) -> str:
    """Return the counts in Prometheus' text format."""
    lines = [
        f"# HELP {EVENTS} What happened about signing in, as the audit log has it; the same on every replica.",
        f"# TYPE {EVENTS} counter",
    ]
    seen = set()
    for event, method, reason, total in counts:
        seen.add((event, method, reason))
        lines.append(f'{EVENTS}{{event="{event}",method="{method}",reason="{reason}"}} {total}')
    # Nought for each, always: a sum over all of an event is there before the first one, and rises when that happens.
    bare = [event for event in audit.EVENTS if (event, "", "") not in seen]
    lines += [f'{EVENTS}{{event="{event}",method="",reason=""}} 0' for event in bare]
    return "\n".join(lines) + "\n"


def init_app(app: Flask) -> None:
    """Add the page."""
    app.register_blueprint(blueprint)
