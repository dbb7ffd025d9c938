"""The app with SAML, a browser that keeps its cookies, and guards that see what happened and who was asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from scaffold import audit, sessions
from scaffold.database import db
from scaffold.saml import keys
from scaffold.saml.settings import Saml
from scaffold.settings import Settings
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from tests.app.conftest import make_schema, running
from tests.app.saml import idp
from tests.app.saml.idp import Asked

SLO_URL = "https://login.example.net/logout"


def entra() -> Saml:
    """Return settings as for Entra."""
    sp = idp.pair("sp")
    return Saml(
        sp_entity_id=idp.ENTITY_ID,
        acs_url=idp.ACS_URL,
        sls_url=idp.SLS_URL,
        idp_entity_id=idp.ISSUER,
        sso_url=idp.SSO_URL,
        slo_url=SLO_URL,
        idp_certificates=(keys.certificate(idp.pair("idp").pem),),
        certificate=keys.certificate(sp.pem),
        private_key=keys.private_key(sp.key_pem),
        roles={"Site.Admin": "admin", "Reader": "reader"},
    )


@pytest.fixture
def saml() -> Saml:
    """Settings as for Entra."""
    return entra()


@pytest.fixture
def app(settings: Settings, saml: Saml) -> Iterator[Flask]:
    """The app with SAML, on a database that is ready."""
    with running(replace(settings, saml=saml)) as app:
        make_schema(app)
        yield app


@dataclass
class Browser:
    """Somebody's browser, and what came of it."""

    client: FlaskClient
    app: Flask

    def get(self, path: str, **headers: str) -> TestResponse:
        """Ask for a page."""
        return self.client.get(path, base_url=idp.SITE, headers=headers)

    def begin(self, query: str = "") -> Asked:
        """Begin to sign in, and return what the identity provider is asked."""
        answer = self.get(f"/auth/login/saml{query}")
        assert answer.status_code == 303, answer.text
        return Asked.of(answer.headers["Location"])

    def post(self, message: str, relay_state: str | None = None, **more: Any) -> TestResponse:
        """Bring the identity provider's answer."""
        data = {"SAMLResponse": message} | ({} if relay_state is None else {"RelayState": relay_state})
        return self.client.post("/auth/login/saml/acs", base_url=idp.SITE, data=data, **more)

    def post_body(self, body: bytes) -> TestResponse:
        """Bring a form as it is."""
        kind = "application/x-www-form-urlencoded"
        return self.client.post("/auth/login/saml/acs", base_url=idp.SITE, data=body, content_type=kind)

    def sign_in(self, **said: Any) -> TestResponse:
        """Sign in as the identity provider says."""
        asked = self.begin()
        return self.post(idp.encoded(idp.signed(idp.said_to(asked, **said))), asked.relay_state)

    def logout(self, query: str) -> TestResponse:
        """Bring a logout message."""
        return self.get(f"/auth/login/saml/sls?{query}")

    @property
    def session(self) -> str | None:
        """The session's id."""
        cookie = self.client.get_cookie("__Host-scaffold_session", domain="www.example.org")
        return cookie.value if cookie else None


def browser_of(app: Flask) -> Browser:
    """Return a new browser."""
    return Browser(app.test_client(), app)


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A browser."""
    return browser_of(app)


def count_sessions(app: Flask) -> int:
    """Return how many sessions there are."""
    with app.app_context():
        return int(db.session.scalar(select(func.count()).select_from(sessions.Row)) or 0)


def events(app: Flask, count: int = 1000) -> list[Any]:
    """Return the newest lines of the audit log, oldest first."""
    with app.app_context(), audit.engine().connect() as connection:
        return list(reversed(audit.newest(connection, count)))


def reasons(app: Flask) -> list[tuple[str, str | None]]:
    """Return what happened and why, oldest first."""
    return [(event.event, event.reason) for event in events(app)]


class Listener:
    """A server that nobody should ask."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}/"

    def was_asked(self) -> bool:
        """Tell whether anybody came."""
        try:
            self.socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A server that nobody should ask; and whoever in this process connects anywhere makes the test fail."""
    listening = Listener()
    connected: list[object] = []

    def connect(self: socket.socket, address: object) -> None:
        connected.append(address)
        raise OSError("no connection in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    yield listening
    asked = listening.was_asked()
    listening.socket.close()
    assert not asked
    assert not connected
