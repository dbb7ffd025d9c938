"""Signing in through an identity provider: what is taken, who that is then, and where they go."""

from __future__ import annotations

from flask import Flask
from scaffold import users
from scaffold.database import db
from sqlalchemy import select

from tests.app.saml import idp
from tests.app.saml.conftest import Browser, count_sessions, events


def test_a_signed_answer_signs_somebody_in_and_makes_them_known(app: Flask, browser: Browser) -> None:
    """M19: Entra's form of a response, with only the assertion signed."""
    asked = browser.begin("?next=/account%3Ftab=1")
    answer = browser.post(idp.encoded(idp.signed(idp.said_to(asked))), asked.relay_state)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account?tab=1"), events(app)[-1].reason
    assert browser.session
    assert count_sessions(app) == 1
    with app.app_context():
        (user,) = db.session.scalars(select(users.User)).all()
        assert (user.email, user.display_name, user.roles, user.local) == ("ada@example.org", "Ada Lovelace", [], False)
        (known,) = db.session.scalars(select(users.KnownAs)).all()
        assert (known.issuer, known.tenant, known.object_id) == (idp.ISSUER, idp.TENANT, idp.PERSON)
    kinds = [event.event for event in events(app)]
    assert kinds == ["authn_login_success", "session_created"]
