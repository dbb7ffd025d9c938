"""Changing one's own factors: each change ends the sessions elsewhere and gives this one a new id."""

from __future__ import annotations

import uuid

from flask import Response, abort, current_app, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from .. import audit, factors, hashing, passwords, scripts, sessions, throttle
from ..database import db
from ..factors import passkeys, recovery_codes, totp
from ..settings import Settings
from ..signin.factor import wrong_words
from ..signin.first_time import new_factor, unfit_password
from ..signin.steps import AGAIN_SOON, REFUSED, as_response, attempt, too_many
from ..users import User
from .entry import back, blueprint, proved


def changed(me: sessions.Session, event: audit.Event, method: str) -> sessions.SetCookie:
    """Commit a change of a factor, and what goes with it."""
    give = sessions.renew()
    ended = sessions.end_all(me.user_id, but=me.id)
    db.session.commit()
    audit.record(event, user_id=me.user_id, method=method, detail={"sessions_ended": str(ended)})
    return give


@blueprint.get("/factors/new")
@proved
def new_form(me: sessions.Session) -> Response:
    """Show how to add a passkey, or another authenticator app in place of the one before."""
    return new_page(me)


def new_page(me: sessions.Session, wrong: str | None = None) -> Response:
    """Return the page that shows it."""
    settings: Settings = current_app.extensions["settings"]
    user = db.session.get_one(User, me.user_id)
    options = passkeys.to_enrol(user, me.id.bytes)
    seed = totp.prepared(me.user_id)
    page = render_template(
        "enrol.html",
        wrong=wrong,
        options=options,
        picture=totp.picture(totp.address(seed, settings.site_name, me.email or str(me.user_id))),
        letters=totp.in_letters(seed),
        action=url_for("account.new"),
        first=False,
    )
    return scripts.allowed(page, REFUSED if wrong else 200)


@blueprint.post("/factors/new")
@proved
def new(me: sessions.Session) -> Answer:
    """Take a new factor."""
    kind: factors.Kind = "passkey" if request.form.get("credential") else "totp"
    tried = attempt((throttle.FACTOR, (str(me.user_id),)))
    if not new_factor(me.user_id, kind, me.id.bytes):
        db.session.rollback()
        audit.record("authn_mfa_fail", user_id=me.user_id, method=kind, reason="not_enrolled")
        return new_page(me, wrong_words())
    throttle.succeed(tried)
    return changed(me, "authn_factor_added", kind)(as_response(back()))


@blueprint.post("/factors/app/remove")
@proved
def remove_app(me: sessions.Session) -> Answer:
    """Remove the authenticator app, unless it is the only factor."""
    if not passkeys.of_user(me.user_id) or not totp.remove(me.user_id):
        db.session.rollback()
        abort(404)
    return changed(me, "authn_factor_removed", "totp")(as_response(back()))


@blueprint.post("/factors/passkeys/<uuid:passkey_id>/remove")
@proved
def remove_passkey(me: sessions.Session, passkey_id: uuid.UUID) -> Answer:
    """Remove a passkey, unless it is the only factor."""
    others = [key for key in passkeys.of_user(me.user_id) if key.id != passkey_id]
    if not (others or totp.of_user(me.user_id)) or not passkeys.remove(me.user_id, passkey_id):
        db.session.rollback()
        abort(404)
    return changed(me, "authn_factor_removed", "passkey")(as_response(back()))


@blueprint.post("/factors/recovery-codes")
@proved
def new_codes(me: sessions.Session) -> Answer:
    """Make new recovery codes in place of the old ones, and show them once."""
    codes = recovery_codes.issue(me.user_id)
    give = changed(me, "authn_factor_added", "recovery_code")
    return give(as_response(render_template("recovery_codes.html", codes=codes, onward=url_for("account.page"))))


@blueprint.get("/password")
@proved
def password_form(me: sessions.Session) -> str:
    """Ask for a new password."""
    del me
    return render_template("new_password.html", wrong=None, action=url_for("account.password"), first=False)


@blueprint.post("/password")
@proved
def password(me: sessions.Session) -> Answer:
    """Take a new password."""
    user = db.session.get_one(User, me.user_id)
    wrong = unfit_password(user)
    if wrong is not None:
        db.session.rollback()
        audit.record("authn_password_change_fail", user_id=me.user_id, method="password", reason="unfit")
        page = render_template("new_password.html", wrong=wrong, action=url_for("account.password"), first=False)
        return current_app.make_response((page, REFUSED))
    try:
        passwords.choose(user, request.form["password"])
    except hashing.Busy:
        too_many(AGAIN_SOON)
    return changed(me, "authn_password_change", "password")(as_response(back()))
