"""Where somebody is who signs in with a password, and what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

from flask import Blueprint, Response, abort, current_app, redirect, session, url_for
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response as Answer

from .. import audit, breakglass, factors, hashing, passwords, pending, sessions, throttle
from ..database import db
from ..saml.transactions import local_path
from ..settings import Settings
from ..users import User

blueprint = Blueprint("signin", __name__, url_prefix="/auth")

SEE_OTHER, REFUSED = 303, 403
NEXT = "next"
AGAIN_SOON = 2
PAGES = {"factor": "signin.factor_form", "password": "signin.new_password_form", "enrol": "signin.enrol_form"}

View = Callable[..., Any]


def as_response(answer: Answer | str) -> Response:
    """Return an answer as something that cookies can be given to."""
    return current_app.make_response(answer)


def only_where_passwords_are_taken(view: View) -> View:
    """Answer that there is no such page, unless a setting or a break-glass opening lets passwords in."""

    @wraps(view)
    def run(*arguments: Any, **options: Any) -> Any:
        if not breakglass.is_password_taken():
            abort(404)
        return view(*arguments, **options)

    return run


def too_many(seconds: int) -> NoReturn:
    """Answer that somebody has to wait."""
    raise TooManyRequests(retry_after=seconds)


def attempt(*asked: tuple[throttle.Policy, tuple[str, ...]]) -> throttle.Try:
    """Count a try, or answer that it is not listened to."""
    try:
        return throttle.attempt(*asked)
    except throttle.Blocked as error:
        too_many(error.seconds)


@contextmanager
def hashing_place(*asked: tuple[throttle.Policy, tuple[str, ...]]) -> Iterator[hashing.Place]:
    """Take a place for looking at a password, or answer that somebody has to wait.

    It is taken before the try is counted: one that is not looked at must count for nothing, neither for nor against.
    """
    try:
        # What costs nothing comes first: most of a flood gets no further.
        passwords.hashing().look()
        throttle.listen(*asked)
        with passwords.hashing().place() as place:
            yield place
    except throttle.Blocked as error:
        too_many(error.seconds)
    except hashing.Busy:
        too_many(AGAIN_SOON)


def go_on() -> Answer:
    """Go to the next step of what this browser has begun, or end it with a session."""
    begun = pending.current()
    if begun is None or not breakglass.is_taken_of(begun[1].id):
        pending.forget()
        db.session.commit()
        return redirect(url_for("signin.login"), SEE_OTHER)
    step = step_of(*begun)
    if step != "done":
        return redirect(url_for(PAGES[step]), SEE_OTHER)
    return enter(*begun)


def step_of(begun: pending.PendingSignIn, user: User) -> pending.Step:
    """Return what comes next for somebody."""
    kept = passwords.of_user(user.id)
    return pending.next_step(
        has_factor=factors.are_there(user.id),
        passed=begun.factor is not None,
        must_change=kept is not None and kept.must_change,
    )


def enter(begun: pending.PendingSignIn, user: User) -> Answer:
    """Begin the session of somebody who has shown all that was asked for; of two requests at once, in one of them."""
    settings: Settings = current_app.extensions["settings"]
    user_id, method = user.id, f"password+{begun.factor}"
    wanted = session.get(NEXT)
    if not pending.finish(begun):
        db.session.rollback()
        return redirect(url_for("signin.login"), SEE_OTHER)
    opened = None if settings.password_login_enabled else breakglass.opening_of(user_id)
    opening = str(opened.id) if opened is not None else None
    idle, absolute = (breakglass.IDLE, breakglass.ABSOLUTE) if opening else (sessions.IDLE, sessions.ABSOLUTE)
    give = sessions.start(user, method=method, idle=idle, absolute=absolute)
    db.session.commit()
    session.pop(NEXT, None)
    audit.record("authn_login_success", user_id=user_id, method=method)
    if opening is not None:
        audit.record("authn_break_glass_used", user_id=user_id, method=method, detail={"opening": opening})
    return give(as_response(redirect(local_path(wanted), SEE_OTHER)))


def only_at(step: pending.Step) -> Callable[[View], View]:
    """Let nobody see a step but whoever is at it; others go where they are."""

    def decorate(view: View) -> View:
        @wraps(view)
        def run() -> Any:
            begun = pending.current()
            if begun is None or not breakglass.is_taken_of(begun[1].id) or step_of(*begun) != step:
                return go_on()
            return view(*begun)

        return run

    return decorate
