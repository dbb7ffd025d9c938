"""The answers when a request or the app is at fault: a page or a problem document, with a reference."""

from __future__ import annotations

from flask import Flask, Response, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from . import request_id, sessions
from .representation import problem, wants_json

WORDS = {
    400: "The request could not be understood.",
    403: "This was refused. If you were filling in a form or signing in, please start again from the first page.",
    404: "There is no page at this address. It may have moved, or the address may be mistyped.",
    405: "This address does not take that kind of request.",
    413: "What was sent is too large.",
    429: "Too many requests came from you in a short time. Please wait a moment.",
    500: "Something went wrong on our side. It has been noted; please try again in a moment.",
}


def is_about_signing_in(status: int) -> bool:
    """Tell whether beginning to sign in anew is a way on: nobody is, and a form or one of those pages was refused."""
    return not sessions.seems_there() and (status == 403 or (status == 400 and request.path.startswith("/auth/")))


def answer(error: HTTPException) -> Response:
    """Return the answer for an HTTP error; nothing of the cause is shown, only how to refer to it."""
    status = error.code or 500
    if error.response is not None or status < 400:
        return make_response(error.get_response(request.environ))
    reference = request.environ[request_id.KEY]
    words = WORDS.get(status, "The request could not be answered.")
    if wants_json(request):
        response = problem(status, error.name, words, reference)
    else:
        page = render_template(
            "error.html", status=status, title=error.name, words=words, reference=reference,
            again=is_about_signing_in(status),
        )  # fmt: skip
        response = make_response(page, status)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept"
    return response


def init_app(app: Flask) -> None:
    """Answer every HTTP error this way."""
    app.register_error_handler(HTTPException, answer)
