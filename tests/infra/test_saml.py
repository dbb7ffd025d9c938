"""SAML from the stack's settings: what the app is told, what is a file or a secret, and what has to go together."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scaffold.saml import keys

from infra import saml
from infra.model import Egress, File, Service
from infra.settings import SettingsError, read
from offline.plugin.values import decode, encode
from offline.tls.resources import RESOURCES, Resource
from offline.tls.schema import with_defaults
from tests.infra.conftest import CERTIFICATE as GENERATED
from tests.infra.conftest import KEY as GENERATED_KEY
from tests.infra.conftest import Declared, RunProgram
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
        found = saml.files(read(DEVELOPMENT | given).saml, None)
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))
        return found

    return asyncio.run(made())


def test_a_stack_without_an_identity_provider_tells_the_app_nothing_of_saml() -> None:
    told = read(DEVELOPMENT).saml
    assert saml.environment(told, None) == {}
    assert saml.files(told, None) == ()
    assert saml.egress(told) == ()


def test_the_provider_and_what_is_wanted_of_it_are_in_the_environment() -> None:
    told = saml.environment(read(DEVELOPMENT | PROVIDER | {"samlRequireMfa": "true"}).saml, None)
    assert told["SAML_IDP_ENTITY_ID"] == ENTITY
    assert told["SAML_IDP_METADATA_URL"] == METADATA
    assert told["SAML_REQUIRE_MFA"] == "true"
    assert told["SAML_WANT_ASSERTION_SIGNED"] == "true"
    assert "SAML_SP_ENTITY_ID" not in told


def test_keys_and_certificates_are_files_and_a_key_is_a_secret_one() -> None:
    configured = read(DEVELOPMENT | PROVIDER | OWN_KEY | {"samlSignAuthnRequests": "true"}).saml
    told = saml.environment(configured, None)
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
    told = saml.environment(read(DEVELOPMENT | PROVIDER | {"samlAttributes": '{"email":"mail"}'}).saml, None)
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
        ({"samlSpKeyVersion": "2"}, "samlIdpEntityId: not set"),
        (PROVIDER | {"samlSpKeyVersion": "0"}, "a whole number from 1"),
        (PROVIDER | {"samlSpCertificateNew": CERTIFICATE}, "samlSpCertificate: not set"),
        (PROVIDER | {"samlSpPrivateKeyOld": KEY, "releaseKey": RELEASE_KEY}, "samlSpPrivateKey: not set"),
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


def told(declared: Declared) -> tuple[dict[str, str], dict[str, File]]:
    """Return what the app finds of its pair in its environment, and which files it has of it."""
    assert declared.system is not None
    web: Service = declared.system.service("web")
    files = {file.name: file for file in web.workload.files if file.name.startswith("saml-sp-")}
    return {name: value for name, value in web.workload.env.items() if name.startswith("SAML_SP_")}, files


def test_without_a_key_of_its_own_a_site_gets_a_pair_and_the_next_certificate(run_program: RunProgram) -> None:
    wanted = {"samlSignAuthnRequests": "true", "samlWantAssertionEncrypted": "true"}
    declared = run_program(PROVIDER | wanted | {"siteUrl": "https://app.example.com:8443"})
    assert set(declared.of(GENERATED_KEY)) == {"saml-key-1", "saml-key-2"}
    assert all(
        (inputs["algorithm"], inputs["rsaBits"]) == ("RSA", 3072) for inputs in declared.of(GENERATED_KEY).values()
    )
    certificate = declared.of(GENERATED)["saml-certificate-1"]
    assert certificate["subject"] == {"commonName": "app.example.com"}
    assert certificate["validityPeriodHours"] == 10 * 365 * 24
    environment, files = told(declared)
    assert environment == {
        "SAML_SP_NAMEID_FORMAT": "persistent",
        "SAML_SP_PRIVATE_KEY_FILE": "/run/files/saml-sp-private-key",
        "SAML_SP_X509_CERT_FILE": "/run/files/saml-sp-x509-cert",
        "SAML_SP_X509_CERT_NEW_FILE": "/run/files/saml-sp-x509-cert-new",
    }
    assert {name: (file.fingerprint, file.secret) for name, file in files.items()} == {
        "saml-sp-private-key": ("saml-key/1", True),
        "saml-sp-x509-cert": ("saml-certificate/1/app.example.com", False),
        "saml-sp-x509-cert-new": ("saml-certificate/2/app.example.com", False),
    }


def test_counting_up_takes_the_certificate_that_was_published_and_keeps_the_key_before(
    run_program: RunProgram,
) -> None:
    first, second, third = (run_program(PROVIDER | {"samlSpKeyVersion": str(version)}) for version in (1, 2, 3))
    _, before = told(first)
    environment, after = told(second)
    assert after["saml-sp-x509-cert"].fingerprint == before["saml-sp-x509-cert-new"].fingerprint
    assert after["saml-sp-private-key-old"].fingerprint == before["saml-sp-private-key"].fingerprint
    assert after["saml-sp-private-key-old"].secret
    assert environment["SAML_SP_PRIVATE_KEY_OLD_FILE"] == "/run/files/saml-sp-private-key-old"
    assert [set(each.of(GENERATED_KEY)) for each in (first, second, third)] == [
        {"saml-key-1", "saml-key-2"},
        {"saml-key-1", "saml-key-2", "saml-key-3"},
        {"saml-key-2", "saml-key-3", "saml-key-4"},
    ]
    assert len({each.outputs["release"] for each in (first, second, third)}) == 3


def test_the_site_is_named_in_as_much_of_its_certificate_as_there_is_room(run_program: RunProgram) -> None:
    host = f"{'a' * 60}.example.com"
    declared = run_program(PROVIDER | {"siteUrl": f"https://{host}"})
    assert declared.of(GENERATED)["saml-certificate-1"]["subject"] == {"commonName": host[:64]}


def test_with_a_key_of_its_own_or_without_a_provider_no_pair_is_made(run_program: RunProgram) -> None:
    for given in ({}, PROVIDER | OWN_KEY):
        declared = run_program(given)
        assert not declared.of(GENERATED_KEY)
        assert not declared.of(GENERATED)


def test_the_sdk_of_pairs_is_loaded_only_where_one_is_made() -> None:
    script = "import sys, infra.system; print('pulumi_tls' in sys.modules, 'cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_what_is_generated_is_what_the_app_takes(run_program: RunProgram) -> None:
    declared = run_program(PROVIDER)
    now = datetime.now(UTC)

    def made(resource: Resource, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return resource.make(with_defaults(resource.inputs, decode(encode(inputs))), now)[1]

    key = made(RESOURCES[GENERATED_KEY], declared.of(GENERATED_KEY)["saml-key-1"])["privateKeyPem"]
    inputs = {**declared.of(GENERATED)["saml-certificate-1"], "privateKeyPem": key}
    certificate = keys.certificate(made(RESOURCES[GENERATED], inputs)["certPem"])
    assert certificate.subject == "CN=localhost"
    assert certificate.ends > now + timedelta(days=3649)
    assert keys.belong_together(certificate.pem, keys.private_key(key))
