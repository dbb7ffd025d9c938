"""The first time of a local account: a password of one's own, and a second factor."""

from __future__ import annotations

import uuid

from flask import Response, current_app, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from .. import audit, factors, hashing, passwords, pending, scripts, throttle
from ..database import db
from ..factors import passkeys, recovery_codes, totp
from ..settings import Settings
from ..users import User
from .factor import wrong_words
from .steps import (
    AGAIN_SOON,
    REFUSED,
    as_response,
    attempt,
    blueprint,
    go_on,
    only_at,
    only_where_passwords_are_taken,
    too_many,
)


@blueprint.get("/login/new-password")
@only_where_passwords_are_taken
@only_at("password")
def new_password_form(begun: pending.PendingSignIn, user: User) -> str:
    """Ask for a password of one's own, in place of one that a command made."""
    del begun, user
    return render_template("new_password.html", wrong=None, action=url_for("signin.new_password"), first=True)


@blueprint.post("/login/new-password")
@only_where_passwords_are_taken
@only_at("password")
def new_password(begun: pending.PendingSignIn, user: User) -> tuple[str, int] | Answer:
    """Take a password of one's own."""
    del begun
    user_id = user.id
    wrong = unfit_password(user)
    if wrong is None:
        try:
            passwords.choose(user, request.form["password"])
        except hashing.Busy:
            too_many(AGAIN_SOON)
        db.session.commit()
        audit.record("authn_password_change", user_id=user_id, method="password")
        return go_on()
    db.session.rollback()
    audit.record("authn_password_change_fail", user_id=user_id, method="password", reason="unfit")
    action = url_for("signin.new_password")
    return render_template("new_password.html", wrong=wrong, action=action, first=True), REFUSED


def unfit_password(user: User) -> str | None:
    """Say what is wrong with the password that a form chooses, or None."""
    chosen = request.form.get("password", "")
    if chosen != request.form.get("again", ""):
        return "The two are not the same."
    return passwords.weakness(user, chosen)


@blueprint.get("/login/enrol")
@only_where_passwords_are_taken
@only_at("enrol")
def enrol_form(begun: pending.PendingSignIn, user: User) -> Response:
    """Ask for a first second factor."""
    return enrol_page(begun, user)


def enrol_page(begun: pending.PendingSignIn, user: User, wrong: str | None = None) -> Response:
    """Return the page on which somebody makes their first factor."""
    settings: Settings = current_app.extensions["settings"]
    bound_to, account = begun.digest, user.email or str(user.id)
    options = passkeys.to_enrol(user, bound_to)
    seed = totp.prepared(user.id)
    page = render_template(
        "enrol.html",
        wrong=wrong,
        options=options,
        picture=totp.picture(totp.address(seed, settings.site_name, account)),
        letters=totp.in_letters(seed),
        action=url_for("signin.enrol"),
        first=True,
    )
    return scripts.allowed(page, REFUSED if wrong else 200)


@blueprint.post("/login/enrol")
@only_where_passwords_are_taken
@only_at("enrol")
def enrol(begun: pending.PendingSignIn, user: User) -> Answer:
    """Take a first factor, show recovery codes once, and sign in."""
    user_id, bound_to = user.id, begun.digest
    kind: factors.Kind = "passkey" if request.form.get("credential") else "totp"
    tried = attempt((throttle.FACTOR, (str(user_id),)))
    if not new_factor(user_id, kind, bound_to):
        db.session.rollback()
        audit.record("authn_mfa_fail", user_id=user_id, method=kind, reason="not_enrolled")
        found = pending.current()
        return enrol_page(*found, wrong=wrong_words()) if found else go_on()
    found = pending.current()
    if found is None:
        db.session.rollback()
        return go_on()
    found[0].factor = kind
    throttle.succeed(tried)
    codes = recovery_codes.issue(user_id)
    db.session.commit()
    audit.record("authn_factor_added", user_id=user_id, method=kind, detail={"recovery_codes": str(len(codes))})
    entered = go_on()
    page = as_response(render_template("recovery_codes.html", codes=codes, onward=entered.headers.get("Location", "/")))
    for cookie in entered.headers.getlist("Set-Cookie"):
        page.headers.add("Set-Cookie", cookie)
    return page


def new_factor(user_id: uuid.UUID, kind: factors.Kind, bound_to: bytes) -> bool:
    """Take the factor that a form brings and tell whether it was right; the caller commits."""
    if kind == "passkey":
        return passkeys.enrol(user_id, request.form["credential"], request.form.get("name", ""), bound_to)
    return totp.confirm(user_id, request.form.get("code", "")[:200])
