"""What a request is answered with: pages, problem documents, references, headers."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask, Response, jsonify, request, session, url_for
from flask.testing import FlaskClient
from scaffold import create_app, schema
from scaffold.database import db
from scaffold.forwarded import client_address
from scaffold.request_id import choose
from scaffold.settings import Settings
from sqlalchemy import text

REFERENCE = "0123456789abcdef"
JSON = {"Accept": "application/json"}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app, which has some more pages."""

    @app.get("/where")
    def where() -> Response:
        return jsonify(url=url_for("home.home", _external=True), client=request.remote_addr, secure=request.is_secure)

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("the password is hunter2")

    @app.get("/statement")
    def statement() -> str:
        return str(db.session.execute(text("SELECT * FROM nowhere")).all())

    @app.get("/remember")
    def remember() -> str:
        session["seen"] = session.get("seen", 0) + 1
        return str(session["seen"])

    return app.test_client()


def test_the_first_page_says_who_runs_it_and_which_release(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "r7" in page.text
    assert all(head in page.text for head in schema.heads())
    assert "Scaffold" in page.text


def test_nothing_on_a_page_comes_from_elsewhere_or_is_styled_inline(client: FlaskClient) -> None:
    page = client.get("/")
    assert "http" not in page.text.replace("http-equiv", "")
    assert "style=" not in page.text
    assert "<script" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")


def test_the_style_sheet_may_be_kept_only_under_its_current_address(client: FlaskClient) -> None:
    (address,) = [part.split('"')[0] for part in client.get("/").text.split('href="') if "style.css" in part]
    assert "immutable" in client.get(address, buffered=True).headers["Cache-Control"]
    assert client.get("/static/style.css?v=old", buffered=True).headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/nowhere", "/broken", "/static/style.css"])
def test_every_answer_has_the_security_headers_and_a_reference(client: FlaskClient, path: str) -> None:
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    answer = client.get(path, headers={"X-Request-ID": REFERENCE}, buffered=True)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers.getlist("X-Request-ID") == [REFERENCE]


@pytest.mark.parametrize(
    "offered", [None, "", "short", "x" * 65, "a b c d e f g", "<script>alert(1)", "ünïcödé-reference"]
)
def test_a_reference_that_is_not_plain_is_replaced(offered: str | None) -> None:
    assert choose(offered) != offered
    assert len(choose(offered)) == 32


def test_an_address_without_a_page_is_answered_as_was_asked(client: FlaskClient) -> None:
    page = client.get("/nowhere", headers={"X-Request-ID": REFERENCE})
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert REFERENCE in page.text
    document = client.get("/nowhere", headers={"X-Request-ID": REFERENCE, **JSON})
    assert (document.status_code, document.mimetype) == (404, "application/problem+json")
    assert document.json is not None
    assert document.json["request_id"] == REFERENCE
    assert client.get("/api/nowhere").mimetype == "application/problem+json"
    assert client.get("/nowhere", headers={"Accept": "*/*"}).mimetype == "text/html"


def test_an_error_in_the_app_shows_a_reference_and_nothing_of_the_cause(client: FlaskClient) -> None:
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    for headers in ({}, JSON):
        answer = client.get("/broken", headers={"X-Request-ID": REFERENCE, **headers})
        assert answer.status_code == 500
        assert REFERENCE in answer.text
        assert "hunter2" not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_statement_that_the_database_refuses_is_no_outage(client: FlaskClient) -> None:
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    assert client.get("/statement").status_code == 500
    assert client.get("/").status_code == 200


def test_a_wrong_method_is_answered_with_those_that_are_right(client: FlaskClient) -> None:
    answer = client.post("/", headers=JSON)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_every_url_is_made_of_the_sites_address_whatever_the_client_says(client: FlaskClient) -> None:
    hostile = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example",
    }
    found = client.get("/where", headers=hostile).json
    assert found == {"url": "https://www.example.org/", "client": "127.0.0.1", "secure": True}


@pytest.mark.parametrize(
    ("peer", "said", "believed"),
    [
        ("10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", " 2001:db8::1 ", "2001:db8::1"),
        ("10.1.2.3", "203.0.113.9, 10.0.0.1", "10.1.2.3"),
        ("10.1.2.3", "nonsense", "10.1.2.3"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("", "203.0.113.9", ""),
    ],
)
def test_only_the_gateway_is_believed_about_the_client_and_only_one_address(
    peer: str, said: str, believed: str
) -> None:
    assert client_address(peer, said, (ipaddress.ip_network("10.0.0.0/8"),)) == believed


def test_what_a_form_keeps_survives_a_change_of_key_when_the_old_one_is_a_fallback(
    client: FlaskClient, settings: Settings
) -> None:
    first = client.get("/remember", base_url="https://www.example.org")
    cookie = first.headers["Set-Cookie"]
    assert cookie.startswith("__Host-scaffold_form=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
    new = replace(settings, secret_key="n3w-" + settings.secret_key, secret_key_fallbacks=(settings.secret_key,))
    for keys, seen in ((new, 1), (replace(new, secret_key_fallbacks=()), 0)):
        app = create_app(keys)
        app.add_url_rule("/seen", view_func=lambda: str(session.get("seen", 0)))
        answer = app.test_client(use_cookies=False).get("/seen", headers={"Cookie": cookie.split(";")[0]})
        assert answer.text == str(seen)


@pytest.fixture
def offline(client: FlaskClient, settings: Settings) -> Iterator[FlaskClient]:
    """A client of the app while its database is known to be offline."""
    outage = client.application.extensions["outage"]
    outage.since = 0.0
    yield client
    outage.since = None


def test_the_maintenance_page_is_the_rendered_one_with_the_requests_reference(offline: FlaskClient) -> None:
    answer = offline.get("/", headers={"X-Request-ID": REFERENCE})
    assert answer.status_code == 503
    assert answer.text == f"<style>p {{ color: red }}</style><p>Back soon: {REFERENCE}</p>"
    assert answer.headers["Retry-After"] == "30"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Vary"] == "Accept"
    assert "style-src 'sha256-" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_programs_get_a_problem_document_while_the_database_is_offline(offline: FlaskClient) -> None:
    answer = offline.get("/", headers={"X-Request-ID": REFERENCE, **JSON})
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert answer.json is not None
    assert answer.json["request_id"] == REFERENCE
    assert answer.headers["Retry-After"] == "30"


def test_other_methods_get_the_same_answer_while_the_database_is_offline(offline: FlaskClient) -> None:
    head, post = offline.head("/"), offline.post("/anything", data={"a": "b"})
    assert (head.status_code, head.data) == (503, b"")
    assert (post.status_code, post.headers["Retry-After"]) == (503, "30")


def test_what_needs_no_database_is_served_while_it_is_offline(offline: FlaskClient) -> None:
    assert offline.get("/healthz").status_code == 200
    assert offline.get("/static/style.css", buffered=True).status_code == 200


def test_a_built_in_page_is_there_when_none_was_rendered(settings: Settings) -> None:
    app = create_app(settings)
    app.extensions["outage"].since = 0.0
    answer = app.test_client().get("/", headers={"X-Request-ID": REFERENCE})
    assert answer.status_code == 503
    assert REFERENCE in answer.text
    assert "<!--#" not in answer.text
