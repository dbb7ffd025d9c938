"""Who may come to these pages: whoever is signed in, and to change a factor, whoever has just shown who they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import Blueprint, abort, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from .. import audit, sessions

blueprint = Blueprint("account", __name__, url_prefix="/account")

SEE_OTHER = 303
PROVED_FOR = timedelta(minutes=10)

View = Callable[..., Any]


def signed_in(view: View) -> View:
    """Send whoever is not signed in to do so first."""

    @wraps(view)
    def run(*arguments: Any, **options: Any) -> Any:
        session = sessions.current()
        if session is None:
            return redirect(url_for("signin.login", next=here()), SEE_OTHER)
        return view(session, *arguments, **options)

    return run


def proved(view: View) -> View:
    """Let in only a local account whose owner has shown lately that it is them; others are asked to do so."""

    @signed_in
    @wraps(view)
    def run(session: sessions.Session, *arguments: Any, **options: Any) -> Any:
        if not session.local:
            abort(404)
        if not session.proved_within(PROVED_FOR):
            return redirect(url_for("account.proof_form", next=here()), SEE_OTHER)
        return view(session, *arguments, **options)

    return run


def only_for(role: str) -> Callable[[View], View]:
    """Let in only people who have a role."""

    def decorate(view: View) -> View:
        @signed_in
        @wraps(view)
        def run(session: sessions.Session, *arguments: Any, **options: Any) -> Any:
            if not session.has(role):
                audit.record("authz_fail", user_id=session.user_id, method=session.method, reason="no_role")
                abort(403)
            return view(session, *arguments, **options)

        return run

    return decorate


def here() -> str:
    """Return where to come back to: this page, or the account's where something was sent."""
    return request.full_path.rstrip("?") if request.method == "GET" else url_for("account.page")


def back() -> Answer:
    """Go back to the account's page."""
    return redirect(url_for("account.page"), SEE_OTHER)
