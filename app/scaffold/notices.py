"""What is said once, on the next page that this browser is shown."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from flask import Flask, current_app, request, session

from . import sessions

Notice = Literal["signed_out"]

KEPT = "notice"
WORDS: Mapping[str, str] = MappingProxyType({"signed_out": "You are signed out."})


def leave(notice: Notice) -> None:
    """Have it said on the next page."""
    session[KEPT] = notice


def take() -> str | None:
    """Return what is to be said on this page, and never again; who has signed in since is not told of having left."""
    # Without its cookie there is nothing, and a page that looks into it would be a page of this cookie.
    if current_app.config["SESSION_COOKIE_NAME"] not in request.cookies:
        return None
    words = WORDS.get(session.pop(KEPT, ""))
    return None if sessions.seems_there() else words


def init_app(app: Flask) -> None:
    """Give templates `notice()`."""
    app.template_global("notice")(take)
