"""The page of one's own account: who one is, where one is signed in, what happened lately."""

from __future__ import annotations

import uuid

from flask import abort, render_template
from werkzeug.wrappers import Response as Answer

from .. import audit, sessions
from ..database import db
from ..factors import passkeys, recovery_codes, totp
from .entry import back, blueprint, signed_in

LATELY = 12


@blueprint.get("")
@signed_in
def page(session: sessions.Session) -> str:
    """Show all of it."""
    user_id = session.user_id
    return render_template(
        "account.html",
        me=session,
        rows=sessions.of_user(user_id),
        apps=totp.of_user(user_id),
        keys=passkeys.of_user(user_id),
        codes=recovery_codes.left(user_id),
        events=audit.of_user(db.session.connection(), user_id, LATELY),
    )


@blueprint.post("/sessions/<uuid:session_id>/end")
@signed_in
def end_session(session: sessions.Session, session_id: uuid.UUID) -> Answer:
    """End another one of one's own sessions."""
    if session_id == session.id or not sessions.end_one(session.user_id, session_id):
        db.session.rollback()
        abort(404)
    db.session.commit()
    audit.record("session_revoked", user_id=session.user_id, method=session.method, reason="by_owner")
    return back()


@blueprint.post("/sessions/end-others")
@signed_in
def end_others(session: sessions.Session) -> Answer:
    """End all of one's own sessions but this one."""
    count = sessions.end_all(session.user_id, but=session.id)
    db.session.commit()
    audit.record(
        "session_revoked", user_id=session.user_id, method=session.method, reason="by_owner",
        detail={"sessions": str(count)},
    )  # fmt: skip
    return back()
