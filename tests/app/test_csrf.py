"""Forms are taken only from this app's own pages, at the browser that got them."""

from __future__ import annotations

import re

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient
from scaffold import csrf


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app, which has a form."""

    @app.get("/form")
    def form() -> str:
        return render_template_string("<form>{{ csrf_field() }}</form>")

    @app.post("/form")
    def take() -> str:
        return "taken"

    @app.post("/open")
    @csrf.exempt
    def take_all() -> str:
        return "taken"

    return app.test_client()


def token(client: FlaskClient) -> str:
    """Get the form and return its token."""
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', client.get("/form").text)
    assert found
    return found[1]


def test_a_form_of_this_browser_is_taken_and_its_token_looks_different_each_time(client: FlaskClient) -> None:
    first, second = token(client), token(client)
    assert first != second
    for given in (first, second):
        assert client.post("/form", data={"csrf_token": given}).text == "taken"
        assert client.post("/form", headers={"X-CSRF-Token": given}).text == "taken"


def test_what_has_no_token_or_another_browsers_is_refused_with_a_reference(client: FlaskClient) -> None:
    right = token(client)
    other = token(client.application.test_client())
    flipped = ("0" if right[-1] != "0" else "1").join((right[:-1], ""))
    for given in ("", other, flipped, right[:-2], right + "00", "zz" * 48, "é"):
        answer = client.post("/form", data={"csrf_token": given}, headers={"X-Request-ID": "0123456789abcdef"})
        assert answer.status_code == 403, given
        assert "0123456789abcdef" in answer.text


def test_whoever_is_not_signed_in_is_shown_where_to_begin_anew_when_a_form_is_refused(client: FlaskClient) -> None:
    again = '<a class="button" href="/auth/login">Sign in again</a>'
    refused = client.post("/form")
    assert refused.status_code == 403
    assert again in refused.text
    assert again not in client.get("/nowhere").text
    # An id that is nobody's is looked up before the form is refused.
    client.set_cookie("__Host-scaffold_session", "x" * 43)
    assert again in client.post("/form").text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://www.example.org"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_what_the_browser_says_comes_from_elsewhere_is_refused(
    client: FlaskClient, headers: dict[str, str], status: int
) -> None:
    data = {"csrf_token": token(client)}
    assert client.post("/form", data=data, headers=headers).status_code == status


def test_a_token_is_no_good_any_more_once_somebody_signs_in(client: FlaskClient) -> None:
    before = token(client)
    client.set_cookie("__Host-scaffold_session", "x" * 43)
    assert client.post("/form", data={"csrf_token": before}).status_code == 403
    assert client.post("/form", data={"csrf_token": token(client)}).status_code == 200


def test_what_is_exempt_is_taken_from_anybody_and_an_unknown_address_is_just_unknown(client: FlaskClient) -> None:
    assert client.post("/open", headers={"Origin": "https://idp.example"}).text == "taken"
    assert client.post("/nowhere").status_code == 404
    assert client.post("/").status_code == 405
