"""What a browser is told to refuse, on every response."""

from __future__ import annotations

from flask import Flask, Response

from .settings import Settings

POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def content_security_policy(**changed: str) -> str:
    """Return the policy's text, with directives changed by name (`style_src="…"`)."""
    policy = POLICY | {name.replace("_", "-"): value for name, value in changed.items()}
    return "; ".join(f"{name} {value}" for name, value in policy.items())


def form_targets(settings: Settings) -> str:
    """Return where forms lead: to this site, and from there to the identity provider, as when somebody signs out.

    Browsers hold the policy against the redirect that answers a form, too.
    """
    return " ".join(("'self'", *(settings.saml.origins if settings.saml else ())))


def every_answers(settings: Settings) -> dict[str, str]:
    """Return the headers that every response has unless it sets its own."""
    headers = {
        "Content-Security-Policy": content_security_policy(form_action=form_targets(settings)),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if settings.https:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


def init_app(app: Flask, settings: Settings) -> None:
    """Add the headers to every response."""
    headers = every_answers(settings)

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response
