"""SAML from the stack's settings: what the app is told, what is a file or a secret, and what has to go together."""

from __future__ import annotations

import asyncio

import pytest

from infra import saml
from infra.model import Egress, File
from infra.settings import SettingsError, read
from tests.infra.test_settings import DEVELOPMENT, RELEASE_KEY

ENTITY = "https://sts.windows.net/11111111-2222-3333-4444-555555555555/"
METADATA = "https://login.example.com/tenant/metadata.xml?appid=1"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"
PROVIDER = {"samlIdpEntityId": ENTITY, "samlIdpMetadataUrl": METADATA}
OWN_KEY = {"samlSpCertificate": CERTIFICATE, "samlSpPrivateKey": KEY, "releaseKey": RELEASE_KEY}


def problems(given: dict[str, str]) -> list[str]:
    """Return what is wrong with a development stack of these values."""
    with pytest.raises(SettingsError) as caught:
        read(DEVELOPMENT | given)
    return caught.value.problems


def files(given: dict[str, str]) -> tuple[File, ...]:
    """Return the files of a development stack of these values; a secret is made in a loop, which sees it through."""

    async def made() -> tuple[File, ...]:
        found = saml.files(read(DEVELOPMENT | given).saml)
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))
        return found

    return asyncio.run(made())


def test_a_stack_without_an_identity_provider_tells_the_app_nothing_of_saml() -> None:
    told = read(DEVELOPMENT).saml
    assert saml.environment(told) == {}
    assert saml.files(told) == ()
    assert saml.egress(told) == ()


def test_the_provider_and_what_is_wanted_of_it_are_in_the_environment() -> None:
    told = saml.environment(read(DEVELOPMENT | PROVIDER | {"samlRequireMfa": "true"}).saml)
    assert told["SAML_IDP_ENTITY_ID"] == ENTITY
    assert told["SAML_IDP_METADATA_URL"] == METADATA
    assert told["SAML_REQUIRE_MFA"] == "true"
    assert told["SAML_WANT_ASSERTION_SIGNED"] == "true"
    assert "SAML_SP_ENTITY_ID" not in told


def test_keys_and_certificates_are_files_and_a_key_is_a_secret_one() -> None:
    configured = read(DEVELOPMENT | PROVIDER | OWN_KEY | {"samlSignAuthnRequests": "true"}).saml
    told = saml.environment(configured)
    assert told["SAML_SP_PRIVATE_KEY_FILE"] == "/run/files/saml-sp-private-key"
    assert told["SAML_SP_X509_CERT_FILE"] == "/run/files/saml-sp-x509-cert"
    assert not any("PRIVATE KEY" in value for value in told.values())
    made = files(PROVIDER | OWN_KEY | {"samlSignAuthnRequests": "true"})
    assert {file.name: file.secret for file in made} == {
        "saml-sp-private-key": True,
        "saml-sp-x509-cert": False,
    }


def test_another_private_key_is_another_release() -> None:
    before, after = (
        files(PROVIDER | OWN_KEY | {"samlSpPrivateKey": key}) for key in (KEY, KEY.replace("MIIE", "MIIF"))
    )
    assert [file.fingerprint for file in before] != [file.fingerprint for file in after]


def test_the_app_may_call_the_providers_metadata_and_nothing_else() -> None:
    assert saml.egress(read(DEVELOPMENT | PROVIDER).saml) == (Egress("0.0.0.0/0", 443),)
    by_value = {"samlIdpEntityId": ENTITY, "samlIdpMetadata": "<EntityDescriptor/>"}
    assert saml.egress(read(DEVELOPMENT | by_value).saml) == ()


def test_names_of_claims_are_the_apps_settings() -> None:
    told = saml.environment(read(DEVELOPMENT | PROVIDER | {"samlAttributes": '{"email":"mail"}'}).saml)
    assert told["SAML_ATTRIBUTE_EMAIL"] == "mail"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"samlIdpMetadataUrl": METADATA}, "samlIdpEntityId: not set"),
        ({"samlRequireMfa": "true"}, "samlIdpEntityId: not set"),
        ({"samlIdpEntityId": ENTITY}, "samlIdpSsoUrl: not set"),
        ({"samlIdpEntityId": ENTITY, "samlIdpSsoUrl": "https://idp.example.com/sso"}, "samlIdpCertificates: not set"),
        (PROVIDER | {"samlSpCertificate": CERTIFICATE}, "samlSpPrivateKey: not set"),
        (PROVIDER | {"samlSpPrivateKey": KEY, "releaseKey": RELEASE_KEY}, "samlSpCertificate: not set"),
        (PROVIDER | {"samlSignAuthnRequests": "true"}, "samlSpPrivateKey: not set"),
        (PROVIDER | {"samlIdpEntityId": ENTITY.rstrip("/")}, "last slash"),
        (PROVIDER | {"samlIdpEntityId": "contoso"}, "a URI"),
        (PROVIDER | {"samlIdpMetadataUrl": "http://login.example.com/"}, "an https:// address"),
        (PROVIDER | {"samlAttributes": '{"e-mail":"mail"}'}, "by claim"),
        (PROVIDER | {"samlRolesFrom": "claims"}, "roles or groups or none"),
    ],
)
def test_what_does_not_go_together_is_named(given: dict[str, str], named: str) -> None:
    assert any(named in problem for problem in problems(given))


def test_a_private_key_is_never_repeated() -> None:
    told = " ".join(problems(PROVIDER | OWN_KEY | {"samlSpPrivateKey": "hunter2-hunter2-hunter2"}))
    assert "samlSpPrivateKey" in told
    assert "hunter2" not in told
