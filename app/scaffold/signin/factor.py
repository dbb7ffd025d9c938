"""The second factor: the step after the password."""

from __future__ import annotations

import uuid

from flask import Response, render_template, request
from werkzeug.wrappers import Response as Answer

from .. import audit, factors, pending, scripts, throttle
from ..database import db
from ..factors import passkeys, recovery_codes, totp
from ..users import User
from .steps import REFUSED, attempt, blueprint, go_on, only_at, only_where_passwords_are_taken

WRONG_CODE = "That code is not right, or it was used before. Please wait for the next one and try again."
WRONG_KEY = "The passkey could not be used. Please try again, or use a code."


@blueprint.get("/login/factor")
@only_where_passwords_are_taken
@only_at("factor")
def factor_form(begun: pending.PendingSignIn, user: User) -> Response:
    """Ask for the second factor."""
    return factor_page(begun, user)


def factor_page(begun: pending.PendingSignIn, user: User, wrong: str | None = None) -> Response:
    """Return the page that asks for the second factor."""
    user_id, bound_to = user.id, begun.digest
    has_app = bool(totp.of_user(user_id))
    options = passkeys.to_sign(user_id, "sign in", bound_to)
    page = render_template("factor.html", wrong=wrong, options=options, has_app=has_app)
    return scripts.allowed(page, REFUSED if wrong else 200)


@blueprint.post("/login/factor")
@only_where_passwords_are_taken
@only_at("factor")
def factor(begun: pending.PendingSignIn, user: User) -> Answer:
    """Look at the second factor."""
    user_id, bound_to = user.id, begun.digest
    tried = attempt((throttle.FACTOR, (str(user_id),)))
    kind = shown_factor(user_id, "sign in", bound_to)
    if kind is None:
        db.session.rollback()
        refuse_factor(user_id, locked=bool(tried.locked))
        found = pending.current()
        return factor_page(*found, wrong=wrong_words()) if found else go_on()
    found = pending.current()
    if found is None:
        return go_on()
    found[0].factor = kind
    throttle.succeed(tried)
    db.session.commit()
    note_factor(user_id, kind)
    return go_on()


def shown_factor(user_id: uuid.UUID, purpose: passkeys.Purpose, bound_to: bytes) -> factors.Kind | None:
    """Return which factor the form shows, if it is right."""
    answer = request.form.get("credential", "")
    if answer:
        return "passkey" if passkeys.is_right(user_id, answer, purpose, bound_to) else None
    return factors.kind_of_code(user_id, request.form.get("code", "")[:200])


def wrong_words() -> str:
    """Return what is said about a factor that was not right."""
    return WRONG_KEY if request.form.get("credential") else WRONG_CODE


def refuse_factor(user_id: uuid.UUID, *, locked: bool) -> None:
    """Keep that a factor was not right."""
    method = "passkey" if request.form.get("credential") else "code"
    audit.record("authn_mfa_fail", user_id=user_id, method=method, reason="wrong_factor")
    if locked:
        audit.record("authn_mfa_lock", user_id=user_id, method=method, reason="too_many_tries")


def note_factor(user_id: uuid.UUID, kind: factors.Kind) -> None:
    """Keep that a factor was right; a recovery code is worth a second look."""
    audit.record("authn_mfa_success", user_id=user_id, method=kind)
    if kind == "recovery_code":
        left = recovery_codes.left(user_id)
        db.session.rollback()
        audit.record("authn_recovery_code_used", user_id=user_id, method=kind, detail={"left": str(left)})
