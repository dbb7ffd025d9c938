"""Somebody without a browser, whom a proxy in front tells of: the cookies they keep, and what they were answered."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

from tests.app.saml.idp import ACS_URL, SITE, Asked

PATIENCE = 30
FORM = "application/x-www-form-urlencoded"
TOKEN = re.compile('name="csrf_token" value="([^"]+)"')


@dataclass(frozen=True)
class Answer:
    """What the site answered, and how long it took."""

    status: int
    headers: Message
    body: str
    seconds: float

    @property
    def token(self) -> str:
        """What shows that a form of this page is sent from it."""
        found = TOKEN.search(self.body)
        assert found, f"no form in what was answered with {self.status}: {self.body}"
        return found[1]


class Caller:
    """Asks the gateway on a connection that stays open, as a proxy does that ends HTTPS for somebody at an address."""

    def __init__(self, port: int, address: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.address = address
        self.cookies: dict[str, str] = {}

    def __enter__(self) -> Caller:
        """Call."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.connection.close()

    def send(self, method: str, path: str, form: Mapping[str, str] | bytes | None = None) -> Answer:
        """Ask, and keep the cookies of the answer."""
        body = urlencode(form).encode() if isinstance(form, Mapping) else form
        headers = {
            "Host": urlsplit(SITE).netloc,
            "X-Forwarded-For": self.address,
            "X-Forwarded-Proto": "https",
            "Accept": "text/html",
        }
        if body is not None:
            headers["Content-Type"] = FORM
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        began = time.perf_counter()
        try:
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            text = answer.read().decode()
        except BaseException:
            self.connection.close()
            raise
        seconds = time.perf_counter() - began
        self.keep(answer.headers.get_all("Set-Cookie", []))
        return Answer(answer.status, answer.headers, text, seconds)

    def keep(self, said: list[str]) -> None:
        """Keep cookies, and forget those that are to be forgotten."""
        for line in said:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if not morsel.value or morsel["max-age"] == "0":
                    del self.cookies[name]

    def get(self, path: str) -> Answer:
        """Ask for a page."""
        return self.send("GET", path)

    def post(self, path: str, form: Mapping[str, str] | bytes) -> Answer:
        """Send a form."""
        return self.send("POST", path, form)

    def begin(self, path: str = "/account") -> Asked:
        """Begin to sign in, and return what the identity provider is asked."""
        answer = self.get(f"/auth/login/saml?{urlencode({'next': path})}")
        assert answer.status == 303, f"{answer.status}: {answer.body}"
        return Asked.of(answer.headers["Location"])

    def bring(self, message: str, asked: Asked) -> Answer:
        """Bring the identity provider's answer."""
        return self.post(urlsplit(ACS_URL).path, {"SAMLResponse": message, "RelayState": asked.relay_state})
