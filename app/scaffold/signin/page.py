"""The page where signing in begins, and signing out."""

from __future__ import annotations

from flask import current_app, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as Answer

from .. import breakglass, notices, saml, sessions
from ..saml.transactions import local_path
from .steps import NEXT, SEE_OTHER, as_response, blueprint


@blueprint.get("/login")
def login() -> str | Answer:
    """Show how one can sign in here."""
    if NEXT in request.args:
        session[NEXT] = local_path(request.args[NEXT])
    if sessions.current() is not None:
        return redirect(local_path(session.pop(NEXT, None)), SEE_OTHER)
    return render_template(
        "sign_in.html",
        provider="saml" in current_app.extensions,
        wanted=session.get(NEXT),
        password=breakglass.is_password_taken(),
    )


@blueprint.post("/logout")
def logout() -> Answer:
    """End this browser's session here, whatever else, and then where it began."""
    leaving = sessions.current()
    forget = sessions.end()
    session.clear()
    notices.leave("signed_out")
    elsewhere = saml.goodbye(leaving) if leaving is not None else None
    return forget(as_response(elsewhere or redirect(url_for("home.home"), SEE_OTHER)))
