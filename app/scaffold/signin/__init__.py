"""Signing in and out."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Add the pages."""
    from . import factor, first_time, page, password, steps  # noqa: F401 - each adds its pages to the blueprint

    app.register_blueprint(steps.blueprint)
