"""The address and the password: the first step of whoever signs in with one."""

from __future__ import annotations

from flask import render_template, request
from werkzeug.wrappers import Response as Answer

from .. import audit, breakglass, passwords, pending, throttle, users
from ..database import db
from ..users import User
from .steps import REFUSED, attempt, blueprint, go_on, hashing_place, only_where_passwords_are_taken

LONGEST_ADDRESS = 254

WRONG = "The address or the password is not right, or this account may not sign in this way now."


@blueprint.get("/login/password")
@only_where_passwords_are_taken
def password_form() -> str:
    """Ask for an address and a password."""
    return render_template("password.html", wrong=None, email="")


@blueprint.post("/login/password")
@only_where_passwords_are_taken
def password() -> str | tuple[str, int] | Answer:
    """Look at a password; whatever is wrong with it is answered alike, and after as long a time."""
    email, given = request.form.get("email", "").strip()[:LONGEST_ADDRESS], request.form.get("password", "")
    asked = (throttle.ACCOUNT, (email.casefold(),)), (throttle.PLACE, (email.casefold(), request.remote_addr or ""))
    with hashing_place(*asked) as place:
        tried = attempt(*asked)
        user = users.local_of(email) if email else None
        allowed = user is not None and user.disabled_at is None and breakglass.is_taken_of(user.id)
        right = passwords.is_right(user, given, place)
    if user is None or not right or not allowed:
        refuse_password(user, right=right, locked=bool(tried.locked & {"account"}))
        return render_template("password.html", wrong=WRONG, email=email), REFUSED
    throttle.succeed(tried)
    pending.begin(user)
    return go_on()


def refuse_password(user: User | None, *, right: bool, locked: bool) -> None:
    """Keep why a password was not taken."""
    user_id = user.id if user is not None else None
    if user is None:
        reason = "unknown_account"
    elif not right:
        reason = "wrong_password"
    else:
        reason = "disabled" if user.disabled_at is not None else "not_opened"
    db.session.rollback()
    audit.record("authn_login_fail", user_id=user_id, method="password", reason=reason)
    if locked:
        audit.record("authn_login_lock", user_id=user_id, method="password", reason="too_many_tries")
