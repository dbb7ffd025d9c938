"""How the browser keeps a session: signed with SECRET_KEY, in a cookie that only this host gets and no script reads."""

from __future__ import annotations

from flask import Flask

from .settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Set the keys and the cookie; keys in SECRET_KEY_FALLBACKS still verify what they signed."""
    app.secret_key = settings.secret_key
    app.config.update(
        SECRET_KEY_FALLBACKS=list(settings.secret_key_fallbacks) or None,
        # A browser takes the __Host- prefix only from a secure origin, and then from no other host or path.
        SESSION_COOKIE_NAME="__Host-scaffold_session" if settings.https else "scaffold_session",
        SESSION_COOKIE_SECURE=settings.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        MAX_CONTENT_LENGTH=10 * 1024 * 1024,
    )
