"""When certificates end is told to whoever watches, as `flask saml check` tells it to whoever asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from scaffold.database import db
from scaffold.moments import now
from scaffold.saml import ends, keys, trust
from scaffold.saml.ends import End
from scaffold.saml.idp_metadata import Metadata
from scaffold.saml.settings import Saml
from scaffold.settings import Settings

from tests.app.conftest import make_schema, running
from tests.app.saml import idp
from tests.app.saml.idp import pair

TOKEN = "t0ken-0f-tests-abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def app(settings: Settings, saml: Saml) -> Iterator[Flask]:
    """The app with a token for its counts, and metadata to be fetched beside a certificate of its settings."""
    known = replace(
        saml,
        metadata_url="https://login.example.net/metadata",
        certificate_new=keys.certificate(pair("ends soon", days=20).pem),
    )
    with running(replace(settings, saml=known, metrics_token=TOKEN)) as app:
        make_schema(app)
        yield app


def test_every_certificate_that_counts_is_told_with_its_end(app: Flask) -> None:
    saml: Saml = app.extensions["saml"]
    fetched = keys.certificate(pair("another provider").pem)
    with app.app_context():
        both = (saml.idp_certificates[0], fetched)
        trust.keep(saml, Metadata(idp.ISSUER, idp.SSO_URL, None, both), now())
        db.session.commit()
        found = ends.ends(saml)
    assert saml.certificate is not None
    assert saml.certificate_new is not None
    assert found == [
        End("provider", "now", saml.idp_certificates[0].thumbprint, saml.idp_certificates[0].ends),
        End("provider", "now", fetched.thumbprint, fetched.ends),
        End("site", "now", saml.certificate.thumbprint, saml.certificate.ends),
        End("site", "next", saml.certificate_new.thumbprint, saml.certificate_new.ends),
    ]
    page = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    told = re.findall(rf'{ends.METRIC}{{whose="(\w+)",use="(\w+)",thumbprint="(\w+)"}} (\d+)', page)
    assert told == [(one.whose, one.use, one.thumbprint, f"{one.at.timestamp():.0f}") for one in found]
    (soon,) = [int(at) for _, use, _, at in told if use == "next"]
    assert timedelta(days=19).total_seconds() < soon - now().timestamp() < timedelta(days=21).total_seconds()


def test_an_app_without_saml_has_no_certificates_to_tell_of(settings: Settings) -> None:
    with running(replace(settings, metrics_token=TOKEN)) as app:
        make_schema(app)
        page = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert page.status_code == 200
        assert ends.METRIC not in page.text
