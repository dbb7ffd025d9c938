"""The audit log as administrators read it."""

from __future__ import annotations

from flask import Blueprint, Flask, render_template, request

from . import audit, sessions, users
from .account.entry import only_for
from .database import db

blueprint = Blueprint("journal", __name__)

SHOWN = 50
HIGHEST = 2**63 - 1


@blueprint.get("/audit")
@only_for(users.ADMIN)
def journal(_me: sessions.Session) -> str:
    """Show the log, newest first; `before` is a number that all rows shown are below."""
    before = request.args.get("before", type=int)
    before = before if before is not None and 0 < before <= HIGHEST else None
    event = request.args.get("event")
    kind = event if event in audit.EVENTS else None
    rows = audit.newest(db.session.connection(), SHOWN + 1, before, kind)
    names = audit.names(db.session.connection(), rows)
    older = rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None
    return render_template(
        "audit.html", rows=rows[:SHOWN], names=names, older=older, newest=before is None, events=audit.EVENTS, kind=kind
    )


def init_app(app: Flask) -> None:
    """Add the page."""
    app.register_blueprint(blueprint)
