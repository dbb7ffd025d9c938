"""SAML's settings: what is refused before the app serves, in which words, and what is never shown."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from scaffold.saml import keys
from scaffold.saml.settings import Saml
from scaffold.settings import SettingsError, load

from tests.app.saml import idp
from tests.app.saml.idp import pair
from tests.app.saml.test_metadata import metadata
from tests.app.test_settings import GOOD
from tests.conftest import ROOT

SMALL = {
    "SAML_IDP_ENTITY_ID": idp.ISSUER,
    "SAML_IDP_SSO_URL": idp.SSO_URL,
    "SAML_IDP_X509_CERTS": pair("idp").pem,
}
KEYS = {"SAML_SP_X509_CERT": pair("sp").pem, "SAML_SP_PRIVATE_KEY": pair("sp").key_pem}
OTHER_KEY = pair("somebody").key_pem


def saml(**given: str) -> Saml:
    """Return what the settings make."""
    found = load({**GOOD, **SMALL, **given}).saml
    assert found is not None
    return found


def problems(**given: str) -> list[str]:
    """Return what is wrong."""
    with pytest.raises(SettingsError) as caught:
        load({**GOOD, **SMALL, **given})
    return caught.value.problems


def test_few_settings_are_enough_and_the_rest_is_as_for_entra() -> None:
    found = saml()
    assert found.sp_entity_id == f"{GOOD['SITE_URL']}/auth/login/saml/metadata"
    assert found.acs_url == f"{GOOD['SITE_URL']}/auth/login/saml/acs"
    assert found.sls_url == f"{GOOD['SITE_URL']}/auth/login/saml/sls"
    assert found.want_assertion_signed
    assert not found.sign_requests
    assert found.name_id_format == "persistent"
    assert found.claims.object_id == "http://schemas.microsoft.com/identity/claims/objectidentifier"
    assert found.roles == {"admin": "admin"}
    assert [one.body for one in found.idp_certificates] == [pair("idp").body]


def test_without_any_of_them_there_is_no_saml() -> None:
    assert load(GOOD).saml is None
    assert load({**GOOD, "SAML_IDP_ENTITY_ID": ""}).saml is None


def test_a_migration_does_not_stop_for_them() -> None:
    assert load({**GOOD, "SAML_IDP_ENTITY_ID": "nonsense"}, serving=False).saml is None


def test_metadata_by_value_says_what_single_settings_do_not() -> None:
    document = metadata("idp", "idp's next")
    found = load({**GOOD, "SAML_IDP_ENTITY_ID": idp.ISSUER, "SAML_IDP_METADATA": document}).saml
    assert found is not None
    assert (found.sso_url, found.slo_url) == (idp.SSO_URL, "https://login.example.net/out")
    assert [one.body for one in found.idp_certificates] == [pair("idp").body, pair("idp's next").body]
    found = saml(SAML_IDP_METADATA=document, SAML_IDP_SSO_URL="https://login.example.net/other")
    assert found.sso_url == "https://login.example.net/other"
    assert len(found.idp_certificates) == 2


def test_keys_and_certificates_are_read_from_files_and_in_every_form(tmp_path: Path) -> None:
    key, certificate = tmp_path / "sp.key", tmp_path / "sp.crt"
    key.write_text(pair("sp").key_pem, encoding="ascii")
    certificate.write_text(pair("sp").pem, encoding="ascii")
    found = saml(SAML_SP_PRIVATE_KEY_FILE=str(key), SAML_SP_X509_CERT_FILE=str(certificate))
    assert found == saml(**KEYS)
    both = [pair("idp").pem + pair("sp").pem, f"{pair('idp').body},{pair('sp').body}"]
    for text in (*both, f"{pair('idp').body}\n\n{pair('sp').body}\n", f"{pair('idp').pem},{pair('sp').pem}"):
        assert len(saml(SAML_IDP_X509_CERTS=text).idp_certificates) == 2, text
    old = pair("sp").key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    assert saml(**{**KEYS, "SAML_SP_PRIVATE_KEY": old.decode()}) == saml(**KEYS)


def test_private_keys_are_not_shown() -> None:
    shown = repr(load({**GOOD, **SMALL, **KEYS, "SAML_SP_PRIVATE_KEY_OLD": OTHER_KEY}))
    assert "PRIVATE KEY" not in shown
    for problem in problems(SAML_SP_PRIVATE_KEY="hunter2-is-no-key", SAML_SP_X509_CERT=pair("sp").pem):
        assert "hunter2" not in problem


ELLIPTIC = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"SAML_IDP_ENTITY_ID": ""}, "SAML_IDP_ENTITY_ID: got nothing, although SAML_IDP_SSO_URL is set; wanted the"),
        ({"SAML_IDP_ENTITY_ID": "entra"}, "SAML_IDP_ENTITY_ID: got 'entra'; wanted a URI"),
        ({"SAML_IDP_ENTITY_ID": idp.ISSUER.rstrip("/")}, f"wanted it with Entra's last slash: {idp.ISSUER}"),
        ({"SAML_IDP_SSO_URL": ""}, "SAML_IDP_SSO_URL: got nothing; wanted where people sign in, or the provider's"),
        ({"SAML_IDP_SSO_URL": "http://login.example.net/"}, "SAML_IDP_SSO_URL: got 'http://login.example.net/';"),
        ({"SAML_IDP_SSO_URL": "https://a:hunter2@b/"}, "SAML_IDP_SSO_URL: got an address with a user name in it;"),
        ({"SAML_IDP_SLO_URL": "login"}, "SAML_IDP_SLO_URL: got 'login'; wanted an https address"),
        ({"SAML_IDP_METADATA_URL": "ftp://x/"}, "SAML_IDP_METADATA_URL: got 'ftp://x/'; wanted an https address"),
        ({"SAML_IDP_METADATA_INTERVAL": "1"}, "SAML_IDP_METADATA_INTERVAL: got 1; wanted a number of seconds from 60"),
        ({"SAML_IDP_METADATA": "<a/>"}, "SAML_IDP_METADATA: got metadata of none; wanted that of https://sts"),
        ({"SAML_IDP_X509_CERTS": ""}, "SAML_IDP_X509_CERTS: got nothing; wanted the certificates by which"),
        ({"SAML_IDP_X509_CERTS": "x"}, "SAML_IDP_X509_CERTS: certificate 1 of 1: got something that is no certificate"),
        ({"SAML_IDP_X509_CERTS": f"{pair('idp').body},x"}, "certificate 2 of 2: got something that is no certificate"),
        ({"SAML_IDP_X509_CERTS": pair("weak", 1024).pem}, "got a certificate with an RSA key of 1024 bits; wanted"),
        ({"SAML_IDP_CERT_FINGERPRINT": "aa"}, "SAML_IDP_CERT_FINGERPRINT: got a setting that is not known; wanted one"),
        ({"SAML_WANT_ASSERTIONS_SIGNED": "true"}, "SAML_WANT_ASSERTIONS_SIGNED: got a setting that is not known"),
        ({"SAML_WANT_ASSERTION_SIGNED": "maybe"}, "SAML_WANT_ASSERTION_SIGNED: got 'maybe'; wanted true or false"),
        ({"SAML_WANT_ASSERTION_SIGNED": "false"}, "SAML_WANT_ASSERTION_SIGNED: got false, and"),
        ({"SAML_SP_ACS_URL": "https://another.example/acs"}, "SAML_SP_ACS_URL: got 'https://another.example/acs';"),
        ({"SAML_SP_ACS_URL": f"{GOOD['SITE_URL']}/acs?a=b"}, "wanted an address below SITE_URL"),
        ({"SAML_SP_ACS_URL": f"{GOOD['SITE_URL']}.evil.example/acs"}, "wanted an address below SITE_URL"),
        ({"SAML_SP_SLS_URL": f"{GOOD['SITE_URL']}/auth/login/saml/acs"}, "SAML_SP_SLS_URL: got the address of"),
        ({"SAML_SP_NAMEID_FORMAT": "kerberos"}, "SAML_SP_NAMEID_FORMAT: got 'kerberos'; wanted one of persistent,"),
        ({"SAML_SIGN_AUTHN_REQUESTS": "true"}, "SAML_SIGN_AUTHN_REQUESTS: got true without a key; wanted SAML_SP_X509"),
        ({"SAML_WANT_ASSERTION_ENCRYPTED": "true"}, "SAML_WANT_ASSERTION_ENCRYPTED: got true without a key"),
        ({"SAML_SP_X509_CERT": pair("sp").pem}, "SAML_SP_X509_CERT: got it without SAML_SP_PRIVATE_KEY"),
        ({**KEYS, "SAML_SP_PRIVATE_KEY": OTHER_KEY}, "SAML_SP_X509_CERT: got a certificate of another key"),
        ({**KEYS, "SAML_SP_PRIVATE_KEY": ELLIPTIC}, "SAML_SP_PRIVATE_KEY: got a key that is not RSA; wanted an RSA"),
        ({**KEYS, "SAML_SP_PRIVATE_KEY_OLD": "x"}, "SAML_SP_PRIVATE_KEY_OLD: got something that is no such key"),
        ({"SAML_SP_X509_CERT_NEW": pair("sp").pem}, "SAML_SP_X509_CERT_NEW: got it without SAML_SP_X509_CERT"),
        ({"SAML_USER_KEY": "email"}, "SAML_USER_KEY: got 'email'; wanted one of claims, name-id"),
        ({"SAML_USER_KEY": "name-id", "SAML_SP_NAMEID_FORMAT": "emailAddress"}, "wanted persistent with SAML_USER_KEY"),
        ({"SAML_ROLES_FROM": "email"}, "SAML_ROLES_FROM: got 'email'; wanted one of roles, groups, none"),
        ({"SAML_ROLES": "admin"}, "SAML_ROLES: got something that is not JSON; wanted a JSON object"),
        ({"SAML_ROLES": "{}"}, "SAML_ROLES: got an empty map; wanted a JSON object"),
        ({"SAML_ROLES": '{"a": "Admin!"}'}, "SAML_ROLES: got 'Admin!' for 'a'; wanted a role's name in lower case"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named_with_what_was_wanted(given: dict[str, str], words: str) -> None:
    found = problems(**given)
    assert any(words in problem for problem in found), found
    assert all("hunter2" not in problem for problem in found)
    assert all("BEGIN" not in problem for problem in found)


def test_signatures_must_be_wanted_on_something_that_is_not_encrypted() -> None:
    given = {"SAML_WANT_ASSERTION_SIGNED": "false", "SAML_WANT_RESPONSE_SIGNED": "true"}
    assert not saml(**given).want_assertion_signed
    assert any("anybody can encrypt" in p for p in problems(**given, **KEYS, SAML_WANT_ASSERTION_ENCRYPTED="true"))


def test_a_site_without_tls_has_no_saml_but_on_this_machine() -> None:
    plain = {"SITE_URL": "http://www.example.org", "INSECURE_SITE_URL_ALLOWED": "true"}
    assert any("SITE_URL: got http://www.example.org with SAML" in problem for problem in problems(**plain))
    assert saml(SITE_URL="http://localhost:8000", INSECURE_SITE_URL_ALLOWED="true").acs_url.startswith(
        "http://localhost"
    )


def test_a_new_pair_is_one_that_settings_take() -> None:
    key, certificate = keys.new_pair("a site", 30, datetime.now(UTC))
    found = saml(SAML_SP_PRIVATE_KEY=key, SAML_SP_X509_CERT=certificate)
    assert found.certificate is not None
    assert found.certificate.subject == "CN=a site"


def test_an_app_without_saml_loads_nothing_of_it_and_none_loads_what_a_start_can_do_without() -> None:
    unwanted = ("lxml", "xmlsec", "onelogin", "cryptography", "argon2", "webauthn", "cbor2", "segno", "alembic")
    code = (
        f"import sys, scaffold; scaffold.create_app();print([m for m in sys.modules if m.split('.')[0] in {unwanted}])"
    )
    environment = {
        "PYTHONPATH": str(ROOT / "app"),
        "ENVIRONMENT": "development",
        "SQLALCHEMY_DATABASE_URI": "sqlite://",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"
