"""Signing in through an identity provider by SAML 2.0; nothing of it is loaded where no setting asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.wrappers import Response

    from ..sessions import Session
    from ..settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Add the pages of SAML, where its settings are given."""
    if settings.saml is None:
        return
    # Loaded now and not with the first login: before the workers are forked, which share it.
    from . import routes

    routes.init_app(app, settings.saml)


def after_fork(app: Flask) -> None:
    """Have metadata fetched in time; must be called after a fork, as threads do not survive one."""
    if "saml_watch" in app.extensions:
        app.extensions["saml_watch"].start()


def add_commands(app: Flask) -> None:
    """Add `flask saml`, which is there to say what is missing too."""
    from . import commands

    commands.init_app(app)


def goodbye(session: Session) -> Response | None:
    """Return what sends a browser on to the identity provider, to end there too what was just ended here.

    None for a session that began otherwise, and where the provider has no address for that.
    """
    from flask import current_app

    if session.method != "saml" or "saml" not in current_app.extensions:
        return None
    from . import farewell

    return farewell.to_provider(session, current_app.extensions["saml"])
