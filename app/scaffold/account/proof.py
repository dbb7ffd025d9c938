"""Showing once more who one is, before a factor is changed."""

from __future__ import annotations

from flask import Response, abort, redirect, render_template, request, session
from werkzeug.wrappers import Response as Answer

from .. import audit, passwords, scripts, sessions, throttle
from ..database import db
from ..factors import passkeys
from ..saml.transactions import local_path
from ..signin.factor import refuse_factor, shown_factor
from ..signin.steps import REFUSED, SEE_OTHER, as_response, attempt, hashing_place
from ..users import User
from .entry import blueprint, signed_in

NEXT = "prove_next"
WRONG = "The password or the second factor is not right."


@blueprint.get("/prove")
@signed_in
def proof_form(me: sessions.Session) -> Response:
    """Ask for the password and a second factor."""
    if not me.local:
        abort(404)
    session[NEXT] = local_path(request.args.get("next"))
    return proof_page(me)


def proof_page(me: sessions.Session, wrong: str | None = None) -> Response:
    """Return the page that asks for them."""
    options = passkeys.to_sign(me.user_id, "prove", me.id.bytes)
    return scripts.allowed(render_template("prove.html", wrong=wrong, options=options), REFUSED if wrong else 200)


@blueprint.post("/prove")
@signed_in
def prove(me: sessions.Session) -> Answer:
    """Look at both, and give the session a new id: it may do more now."""
    if not me.local:
        abort(404)
    account = (me.email or "").casefold()
    asked = (throttle.ACCOUNT, (account,)), (throttle.FACTOR, (str(me.user_id),))
    with hashing_place(*asked) as place:
        tried = attempt(*asked)
        right = passwords.is_right(db.session.get_one(User, me.user_id), request.form.get("password", ""), place)
    # Both are looked at in any case: which of them was wrong is nobody's to know.
    kind = shown_factor(me.user_id, "prove", me.id.bytes)
    if not right or kind is None:
        db.session.rollback()
        if right:
            refuse_factor(me.user_id, locked=bool(tried.locked))
        else:
            audit.record("authn_login_fail", user_id=me.user_id, method="password", reason="wrong_password")
        return proof_page(me, WRONG)
    throttle.succeed(tried)
    give = sessions.renew()
    db.session.commit()
    audit.record("authn_reauthenticated", user_id=me.user_id, method=f"password+{kind}")
    return give(as_response(redirect(local_path(session.pop(NEXT, None)), SEE_OTHER)))
