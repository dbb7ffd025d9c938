"""The list of attacks: each is refused for its own reason, in time, and leaves nothing behind but its line."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from flask import Flask
from scaffold.settings import load

from tests.app.conftest import SECRET_KEY, make_schema, running
from tests.app.saml.attacks import Attack, attack
from tests.app.saml.conftest import Listener, browser_of, count_sessions, entra, events
from tests.app.saml.idp import SITE

TIMES, MEDIAN, LONGEST = 5, 0.2, 1.0


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The app, one for all: what is refused leaves nothing behind that another attack could meet."""
    url = f"sqlite:///{tmp_path_factory.mktemp('attacks')}/app.db"
    known = load({"ENVIRONMENT": "development", "SQLALCHEMY_DATABASE_URI": url})
    settings = replace(
        known, environment="production", site_url=SITE, secret_key=SECRET_KEY, log_level="ERROR", saml=entra()
    )
    with running(settings) as app:
        make_schema(app)
        yield app


@pytest.mark.parametrize("one", attack.attacks, ids=lambda one: one.id)
def test_it_is_refused(app: Flask, listener: Listener, one: Attack) -> None:
    browser, before = browser_of(app), len(events(app))
    asked = browser.begin()
    body = urlencode({"SAMLResponse": one.make(asked, listener.url), "RelayState": asked.relay_state}).encode()
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = browser.post_body(body)
        seconds.append(time.perf_counter() - began)
        found = events(app, 1)[0]
        became = (answer.status_code, found.event, found.reason)
        assert became == (one.status, "authn_login_fail", one.reason), found.detail
        assert one.reason not in re.sub("<[^>]*>", "", answer.text)
        assert answer.headers["X-Request-ID"] in answer.text
        assert found.request_id == answer.headers["X-Request-ID"]
    assert browser.session is None
    assert count_sessions(app) == 0
    assert len(events(app)) == before + TIMES
    assert statistics.median(seconds) < MEDIAN
    assert max(seconds) < LONGEST
