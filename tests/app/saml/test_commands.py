"""`flask saml`: what it prints, what it finds, and what it changes."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from scaffold.moments import now
from scaffold.saml import findings, keys
from scaffold.saml.findings import Fetched, Trusted
from scaffold.saml.settings import Saml

from tests.app.conftest import SECRET_KEY, runner
from tests.app.saml import idp
from tests.app.saml.conftest import reasons
from tests.app.saml.idp import pair
from tests.app.saml.test_metadata import Host, fetching, host, metadata, saml_of

__all__ = ["fetching", "host"]


def run(app: Flask, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `flask saml COMMAND` on an app's database."""
    settings = app.extensions["settings"]
    environment = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "development",
        "SITE_URL": idp.SITE,
        "SECRET_KEY": SECRET_KEY,
        "SQLALCHEMY_DATABASE_URI": settings.database_url.render_as_string(hide_password=False),
        "SAML_IDP_ENTITY_ID": idp.ISSUER,
        "SAML_IDP_SSO_URL": idp.SSO_URL,
        "SAML_IDP_X509_CERTS": pair("idp").pem,
        **env,
    }
    return runner().run(["--app", "scaffold:create_app", "saml", *command], environment, "")


def test_it_prints_what_entra_must_be_told(app: Flask) -> None:
    """M19."""
    sp = {"SAML_SP_X509_CERT": pair("sp").pem, "SAML_SP_PRIVATE_KEY": pair("sp").key_pem}
    done = run(app, "check", SAML_SIGN_AUTHN_REQUESTS="true", SAML_IDP_SLO_URL="https://login.example.net/out", **sp)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        idp.ENTITY_ID,
        idp.ACS_URL,
        idp.SLS_URL,
        f"{idp.SITE}/auth/login/saml\n",
        "Sign SAML assertion, SHA-256",
    ):
        assert words in done.stdout
    assert keys.certificate(pair("sp").pem).thumbprint in done.stdout
    assert keys.certificate(pair("idp").pem).thumbprint in done.stdout
    assert "PRIVATE" not in done.stdout + done.stderr
    told = json.loads(run(app, "check", "--json", **sp).stdout)
    assert told["told"]["Logout URL"] == idp.SLS_URL
    assert [one["about"] for one in told["findings"]] == ["SAML_IDP_SLO_URL"]


def test_settings_that_cannot_be_used_are_all_named(app: Flask) -> None:
    done = run(app, "check", SAML_IDP_SSO_URL="http://plain.example", SAML_WANT_ASSERTION_SIGNED="maybe")
    assert done.returncode == 1
    assert "✗ SAML_IDP_SSO_URL: got 'http://plain.example'; wanted an https address" in done.stderr
    assert "✗ SAML_WANT_ASSERTION_SIGNED: got 'maybe'; wanted true or false" in done.stderr
    off = run(app, "check", SAML_IDP_ENTITY_ID="", SAML_IDP_SSO_URL="", SAML_IDP_X509_CERTS="")
    assert (off.returncode, off.stderr.startswith("SAML is off: ")) == (1, True)


def test_metadata_is_fetched_by_hand_and_a_certificate_of_it_is_distrusted(fetching: Flask, host: Host) -> None:
    where = {
        "SAML_IDP_SSO_URL": "",
        "SAML_IDP_X509_CERTS": "",
        "SAML_IDP_METADATA_URL": saml_of(fetching).metadata_url or "",
        "SSL_CERT_FILE": str(host.authority),
        "no_proxy": "localhost",
    }
    before = run(fetching, "check", **where)
    assert before.returncode == 1
    assert "no certificate is known yet, so that nobody can sign in: run `flask saml refresh`" in before.stdout
    done = run(fetching, "refresh", **where)
    assert done.returncode == 0, done.stderr
    thumbprint = keys.certificate(pair("idp").pem).thumbprint
    assert f"Trusted from now on: {thumbprint} until" in done.stdout
    checked = run(fetching, "check", **where)
    assert checked.returncode == 0, checked.stdout
    assert f"{thumbprint}  until" in checked.stdout
    unknown = run(fetching, "distrust", "AA:BB", **where)
    assert (unknown.returncode, thumbprint in unknown.stderr) == (1, True)
    done = run(fetching, "distrust", thumbprint, **where)
    assert (done.returncode, f"Trusted no more: {thumbprint}" in done.stdout) == (0, True)
    assert reasons(fetching)[-1] == ("authn_idp_changed", "certificate_distrusted")
    host.answers["/metadata?appid=1"] = (200, {}, metadata("idp", entity_id="https://evil.example/").encode())
    failed = run(fetching, "refresh", **where)
    assert (failed.returncode, "got metadata of https://evil.example/" in failed.stderr) == (1, True)
    assert "the last fetch failed: got metadata of https://evil.example/" in run(fetching, "check", **where).stdout


def test_a_new_pair_is_made_where_none_is(app: Flask, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    done = run(app, "new-pair", str(folder), "--name", "a site", "--days", "30")
    assert done.returncode == 0, done.stderr
    assert (folder / "sp.key").stat().st_mode & 0o777 == 0o600
    assert "BEGIN" not in done.stdout
    files = {"SAML_SP_PRIVATE_KEY_FILE": str(folder / "sp.key"), "SAML_SP_X509_CERT_FILE": str(folder / "sp.crt")}
    assert "! SAML_SP_X509_CERT: this site's certificate" in run(app, "check", **files).stdout
    again = run(app, "new-pair", str(folder))
    assert (again.returncode, "is there already: choose another folder" in again.stderr) == (1, True)


def found_in(saml: Saml, fetched: Fetched | None = None, trusted: list[Trusted] | None = None) -> list[tuple[str, str]]:
    """Return how bad what is, about what."""
    known = [Trusted(one, "settings") for one in saml.idp_certificates] if trusted is None else trusted
    return [(one.weight, one.about) for one in findings.findings(saml, known, fetched, now())]


def test_nothing_is_found_where_all_fits(saml: Saml) -> None:
    assert found_in(saml) == []


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"slo_url": None}, ("note", "SAML_IDP_SLO_URL")),
        ({"name_id_format": "transient"}, ("note", "SAML_SP_NAMEID_FORMAT")),
        ({"roles_from": "groups"}, ("note", "SAML_ROLES_FROM")),
        ({"private_key_old": "a key"}, ("note", "SAML_SP_PRIVATE_KEY_OLD")),
        ({"sign_requests": True}, ("note", "SAML_SIGN_AUTHN_REQUESTS")),
        ({"certificate_new": keys.certificate(pair("sp").pem)}, ("note", "SAML_SP_X509_CERT_NEW")),
        ({"sso_url": "https://login.microsoftonline.com/99999999-1111-2222-3333-444455556666/saml2"},
         ("wrong", "SAML_IDP_SSO_URL")),
        ({"metadata_url": f"https://login.microsoftonline.com/{idp.TENANT}/federationmetadata/2007-06/m.xml"},
         ("wrong", "SAML_IDP_METADATA_URL")),
        ({"certificate": keys.certificate(pair("ends soon", days=20).pem)}, ("soon", "SAML_SP_X509_CERT")),
        ({"certificate": keys.certificate(pair("ended", days=-3).pem)}, ("wrong", "SAML_SP_X509_CERT")),
        ({"idp_certificates": (keys.certificate(pair("ends soon", days=20).pem),)}, ("soon", "settings")),
        ({"idp_certificates": ()}, ("wrong", "SAML_IDP_METADATA_URL")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_found(saml: Saml, changed: dict[str, object], found: tuple[str, str]) -> None:
    assert found_in(replace(saml, **changed)) == [found]  # type: ignore[arg-type]


def test_a_certificate_that_ends_is_no_matter_where_the_next_one_is_known(saml: Saml) -> None:
    both = tuple(keys.certificate(one.pem) for one in (pair("ends soon", days=20), pair("idp")))
    assert found_in(replace(saml, idp_certificates=both)) == []


def test_metadata_of_long_ago_is_found(saml: Saml) -> None:
    fetched = replace(saml, metadata_url="https://login.example.net/metadata")
    assert found_in(fetched, Fetched(now() - timedelta(hours=7), None)) == []
    assert found_in(fetched, Fetched(now() - timedelta(days=3), None)) == [("soon", "SAML_IDP_METADATA_URL")]
    assert found_in(fetched, Fetched(now(), "answered 500")) == [("wrong", "SAML_IDP_METADATA_URL")]
