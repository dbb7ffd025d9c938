"""How an answer is written: as a page for people, or as a problem document (RFC 9457) for programs."""

from __future__ import annotations

from flask import Request, Response, json


def wants_json(request: Request) -> bool:
    """Tell whether the client asked for JSON, by its path or by its Accept header; no preference means a page."""
    if request.path.startswith("/api/"):
        return True
    accept = request.accept_mimetypes
    page = accept["text/html"]
    return max(accept["application/json"], accept["application/problem+json"]) > page


def problem(status: int, title: str, detail: str, request_id: str) -> Response:
    """Return a problem document."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": request_id}
    return Response(json.dumps(body) + "\n", status=status, content_type="application/problem+json")
