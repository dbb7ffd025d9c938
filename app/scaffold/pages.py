"""What every page has in common: the site's name, whom to ask, the release, and the style sheet's address."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Flask, Response, request, url_for

from .settings import Settings

EVERYBODYS = ("base.html", "error.html", "home.html")


def init_app(app: Flask, settings: Settings) -> None:
    """Give the templates their common values, and compile what everybody sees now rather than in the first answer."""
    static = Path(app.static_folder or "")
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in static.iterdir()}

    @app.context_processor
    def common() -> dict[str, object]:
        return {"site_name": settings.site_name, "contact": settings.contact, "release": settings.release}

    @app.template_global()
    def asset(name: str) -> str:
        """Return the address of a static file, which changes with its content."""
        return url_for("static", filename=name, v=digests[name])

    @app.after_request
    def cache(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code == 200:
            current = request.args.get("v") in digests.values()
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if current else "no-cache"
        else:
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    # The pages of signing in wait for whoever wants them: a start is to be quick.
    for name in EVERYBODYS:
        app.jinja_env.get_template(name)
