"""What people see and change of their own: where they are signed in, and with what."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Add the pages."""
    from .. import agent
    from . import devices, entry, page, proof  # noqa: F401 - each adds its pages to the blueprint

    app.template_filter("browser")(agent.words)
    app.register_blueprint(entry.blueprint)
