"""A person at a browser without JavaScript, who fills in the forms of the app's pages."""

from __future__ import annotations

import html
import re
import time
import uuid
from typing import Any

from flask import Flask
from scaffold import passwords, users
from scaffold.database import db
from scaffold.factors import totp
from werkzeug.test import TestResponse

EMAIL = "oncall@example.org"
PASSWORD = "violet tractors hum quietly"
SESSION = "__Host-scaffold_session"


def add_account(site: Flask, email: str = EMAIL, password: str | None = PASSWORD, *roles: str) -> uuid.UUID:
    """Make a local account with a password of its own and return its id; without one, none is set."""
    with site.app_context():
        user = users.User(email=email, display_name="On Call", local=True, roles=list(roles))
        db.session.add(user)
        db.session.flush()
        if password is not None:
            passwords.choose(user, password)
        db.session.commit()
        return user.id


class Browser:
    """Keeps cookies, and sends forms with the hidden fields that their page had."""

    def __init__(self, site: Flask, address: str = "127.0.0.1") -> None:
        self.site = site
        self.client = site.test_client()
        self.address = address
        self.page: TestResponse | None = None
        self.seed = b""
        self.step = 0
        self.codes: list[str] = []

    def get(self, path: str, **headers: str) -> TestResponse:
        """Get a page, following redirects of this site."""
        told = {"X-Forwarded-For": self.address} | {name.replace("_", "-"): value for name, value in headers.items()}
        self.page = self.client.get(path, headers=told, follow_redirects=True)
        return self.page

    def post(self, path: str, **fields: str) -> TestResponse:
        """Send a form of the page at hand."""
        assert self.page is not None
        told = {"X-Forwarded-For": self.address, "Origin": "https://www.example.org"}
        fields = {"csrf_token": field(self.page.text, "csrf_token"), **fields}
        self.page = self.client.post(path, data=fields, headers=told, follow_redirects=True)
        return self.page

    @property
    def path(self) -> str:
        """The path of the page at hand."""
        assert self.page is not None
        return str(self.page.request.path)

    @property
    def session(self) -> str | None:
        """The id of the browser's session."""
        cookie = self.client.get_cookie(SESSION)
        return cookie.value if cookie else None

    def signed_in(self) -> bool:
        """Tell whether the browser has a session's id."""
        return self.session is not None

    def give_password(self, password: str = PASSWORD, email: str = EMAIL) -> TestResponse:
        """Fill in the first form."""
        self.get("/auth/login/password")
        return self.post("/auth/login/password", email=email, password=password)

    def code(self) -> str:
        """Return the app's next code that was not given yet: the clock's, then one that is ahead of it.

        A third in half a minute would be too far ahead: recovery codes are good at any time.
        """
        self.step = max(self.step + 1, totp.step_at(time.time()))
        return totp.code(self.seed, self.step)

    def enrol(self, path: str = "/auth/login/enrol") -> list[str]:
        """Read the seed of the page at hand, confirm it, and return the recovery codes that are shown."""
        self.seed, self.step = seed_on(self.page), 0
        answer = self.post(path, code=self.code())
        self.codes = re.findall(r"<li><code>([a-z2-7-]+)</code>", answer.text) or self.codes
        return list(self.codes)

    def sign_in(self, password: str = PASSWORD, email: str = EMAIL) -> list[str]:
        """Sign in for the first time, with a new app, and return the recovery codes."""
        self.give_password(password, email)
        codes = self.enrol()
        assert self.session
        return codes


def field(page: str, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, page
    return html.unescape(found[1])


def seed_on(page: TestResponse | None) -> bytes:
    """Return the seed that a page shows."""
    import base64

    assert page is not None
    found = re.search(r'<code class="letters">([A-Z2-7]+)</code>', page.text)
    assert found, page.text
    return base64.b32decode(found[1] + "=" * (-len(found[1]) % 8))


def options_on(page: TestResponse | None) -> dict[str, Any]:
    """Return what a page has for the browser's passkeys."""
    import json

    assert page is not None
    found = re.search(r'data-options="([^"]*)"', page.text)
    assert found, page.text
    options: dict[str, Any] = json.loads(html.unescape(found[1]))
    return options
