"""How keys and certificates are made, what is refused, what replaces: without an engine."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent import futures
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from offline.plugin.errors import PluginError
from offline.plugin.values import UNKNOWN, Properties, Secret, Value, decode, encode
from offline.tls import private_key
from offline.tls.difference import Difference, difference
from offline.tls.provider import TlsProvider, state, unmade
from offline.tls.renewal import due, written
from offline.tls.resources import RESOURCES, Resource
from offline.tls.schema import checked, with_defaults
from offline.tls.uses import EXTENDED_USES
from tests.offline.conftest import ROOT

NOW = datetime(2026, 3, 1, 12, 0, 0, 250000, tzinfo=UTC)
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"
BASIC: dict[str, Value] = {"privateKeyPem": PEM, "validityPeriodHours": 24, "allowedUses": ["digital_signature"]}
KEY = "urn:pulumi:dev::trial::tls:index/privateKey:PrivateKey::key"
CERTIFICATE = "urn:pulumi:dev::trial::tls:index/selfSignedCert:SelfSignedCert::certificate"


def kind(name: str) -> Resource:
    return RESOURCES[f"tls:index/{name[0].lower()}{name[1:]}:{name}"]


def refused(name: str, **inputs: Value) -> list[tuple[str, str]]:
    resource = kind(name)
    return [(each.name, each.reason) for each in checked(resource.inputs, inputs, resource.check)]


def made(name: str, **inputs: Value) -> tuple[str, Properties]:
    resource = kind(name)
    assert not refused(name, **inputs)
    return resource.make(with_defaults(resource.inputs, inputs), NOW)


@pytest.fixture(scope="module")
def key_pem() -> str:
    """An elliptic key, which takes no time to make."""
    return str(made("PrivateKey", algorithm="ECDSA", ecdsaCurve="P256")[1]["privateKeyPem"])


@pytest.fixture(scope="module")
def signed(key_pem: str) -> Callable[..., x509.Certificate]:
    def sign(**inputs: Value) -> x509.Certificate:
        _, outputs = made("SelfSignedCert", **{**BASIC, "privateKeyPem": key_pem, **inputs})
        return x509.load_pem_x509_certificate(str(outputs["certPem"]).encode())

    return sign


@pytest.mark.parametrize(
    ("inputs", "begins", "of"),
    [
        ({"algorithm": "RSA"}, "RSA PRIVATE KEY", rsa.RSAPrivateKey),
        ({"algorithm": "RSA", "rsaBits": 1024}, "RSA PRIVATE KEY", rsa.RSAPrivateKey),
        ({"algorithm": "ECDSA"}, "EC PRIVATE KEY", ec.EllipticCurvePrivateKey),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P521"}, "EC PRIVATE KEY", ec.EllipticCurvePrivateKey),
        ({"algorithm": "ED25519"}, "PRIVATE KEY", ed25519.Ed25519PrivateKey),
    ],
)
def test_a_key_is_told_in_every_form_and_all_forms_are_the_same_key(
    inputs: dict[str, Value], begins: str, of: type
) -> None:
    identifier, outputs = made("PrivateKey", **inputs)
    pem = str(outputs["privateKeyPem"])
    assert pem.startswith(f"-----BEGIN {begins}-----\n")
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, of)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert identifier == private_key.identifier(public)
    told = serialization.load_pem_public_key(str(outputs["publicKeyPem"]).encode())
    assert told == key.public_key()
    other = serialization.load_pem_private_key(str(outputs["privateKeyPemPkcs8"]).encode(), password=None)
    assert other.public_key() == key.public_key()
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp224r1":
        assert {outputs[name] for name in outputs if "ssh" in name.lower() or "Fingerprint" in name} == {""}
        return
    ssh = str(outputs["publicKeyOpenssh"])
    assert serialization.load_ssh_public_key(ssh.encode()) == key.public_key()
    assert ssh.endswith("\n")
    again = serialization.load_ssh_private_key(str(outputs["privateKeyOpenssh"]).encode(), password=None)
    assert again.public_key() == key.public_key()
    blob = base64.b64decode(ssh.split()[1])
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    assert outputs["publicKeyFingerprintSha256"] == f"SHA256:{digest}"
    md5 = hashlib.md5(blob, usedforsecurity=False).digest()
    assert outputs["publicKeyFingerprintMd5"] == ":".join(f"{byte:02x}" for byte in md5)


def test_a_key_has_the_bits_that_were_asked_for() -> None:
    _, outputs = made("PrivateKey", algorithm="RSA", rsaBits=3072)
    key = serialization.load_pem_private_key(str(outputs["privateKeyPem"]).encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 3072


def test_no_two_keys_are_the_same() -> None:
    assert len({made("PrivateKey", algorithm="ED25519")[0] for _ in range(20)}) == 20


def test_an_id_leaves_out_what_would_be_space_at_the_end_of_a_text() -> None:
    def sha1(content: bytes) -> str:
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()

    assert private_key.identifier(b"\x30\x81 \n") == sha1(b"\x30\x81")
    assert private_key.identifier(b"\x30\xc2\xa0") == sha1(b"\x30")
    assert private_key.identifier(b"\x30\xa0") == sha1(b"\x30\xa0")


@pytest.mark.parametrize("algorithm", ["RSA", "ECDSA", "ED25519"])
@pytest.mark.parametrize("form", ["privateKeyPem", "privateKeyPemPkcs8"])
def test_a_certificate_is_signed_by_the_key_it_is_about(algorithm: str, form: str) -> None:
    _, key = made("PrivateKey", algorithm=algorithm, ecdsaCurve="P384")
    identifier, outputs = made("SelfSignedCert", **{**BASIC, "privateKeyPem": key[form]})
    found = x509.load_pem_x509_certificate(str(outputs["certPem"]).encode())
    found.verify_directly_issued_by(found)
    assert found.public_key() == serialization.load_pem_public_key(str(key["publicKeyPem"]).encode())
    assert str(found.serial_number) == identifier
    assert outputs["keyAlgorithm"] == algorithm
    digest = found.signature_hash_algorithm
    assert (digest and digest.name) == {"RSA": "sha256", "ECDSA": "sha384", "ED25519": None}[algorithm]


def test_a_certificate_holds_from_now_for_its_hours(signed: Callable[..., x509.Certificate], key_pem: str) -> None:
    found = signed(validityPeriodHours=87600)
    assert found.not_valid_before_utc == NOW.replace(microsecond=0)
    assert found.not_valid_after_utc - found.not_valid_before_utc == timedelta(days=3650)
    _, outputs = made("SelfSignedCert", **{**BASIC, "privateKeyPem": key_pem})
    assert outputs["validityStartTime"] == "2026-03-01T12:00:00.250000Z"
    assert outputs["validityEndTime"] == "2026-03-02T12:00:00.250000Z"


def test_a_subject_has_its_names_in_the_order_of_certificates(signed: Callable[..., x509.Certificate]) -> None:
    subject: Value = {
        "commonName": "example.com", "country": "NL", "emailAddress": "a@example.com", "locality": "Delft",
        "organization": "An Organization", "organizationalUnit": "", "postalCode": "2611",
        "province": "Zuid-Holland", "serialNumber": "7", "streetAddresses": ["One Street", "Another"],
    }  # fmt: skip
    found = signed(subject=subject).subject
    assert [[each.value for each in part] for part in found.rdns] == [
        ["NL"], ["An Organization"], ["Delft"], ["Zuid-Holland"], ["Another", "One Street"], ["2611"],
        ["example.com"], ["7"], ["a@example.com"],
    ]  # fmt: skip
    assert found.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "example.com"


def test_uses_are_told_as_key_usage_and_as_extended_key_usage(signed: Callable[..., x509.Certificate]) -> None:
    found = signed(allowedUses=["digital_signature", "key_encipherment", "server_auth", "any_extended"])
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.key_encipherment
    assert not usage.value.key_cert_sign
    extended = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert not extended.critical
    assert list(extended.value) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]
    every = signed(allowedUses=list(EXTENDED_USES)).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert len(set(every)) == 14
    with pytest.raises(x509.ExtensionNotFound):
        signed(allowedUses=[]).extensions.get_extension_for_class(x509.KeyUsage)


def test_an_authority_says_so_and_has_an_identifier(signed: Callable[..., x509.Certificate]) -> None:
    plain = signed()
    basic = plain.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, False, None)
    with pytest.raises(x509.ExtensionNotFound):
        plain.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    named: Value = {"commonName": "an authority"}
    for length, told in ((None, None), (-1, None), (0, None), (2, 2)):
        found = signed(isCaCertificate=True, subject=named, maxPathLength=length, setAuthorityKeyId=True)
        value = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert (value.ca, value.path_length) == (True, told)
        own = found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert own == x509.SubjectKeyIdentifier.from_public_key(found.public_key())
        of = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert of.key_identifier == own.digest


def test_the_identifier_of_an_ed25519_key_is_of_its_octet_string() -> None:
    _, key = made("PrivateKey", algorithm="ED25519")
    inputs: dict[str, Value] = {**BASIC, "privateKeyPem": key["privateKeyPem"], "setSubjectKeyId": True}
    found = x509.load_pem_x509_certificate(str(made("SelfSignedCert", **inputs)[1]["certPem"]).encode())
    public = found.public_key()
    assert isinstance(public, ed25519.Ed25519PublicKey)
    wanted = hashlib.sha1(b"\x04\x20" + public.public_bytes_raw(), usedforsecurity=False).digest()
    assert found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest == wanted


def test_other_names_are_critical_where_there_is_no_subject(signed: Callable[..., x509.Certificate]) -> None:
    names: dict[str, Value] = {
        "dnsNames": ["example.com", "www.example.com"],
        "ipAddresses": ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.2"],
        "uris": ["https://example.com/"],
    }
    for subject, critical in (({"commonName": "x"}, False), (None, True)):
        found = signed(subject=subject, **names).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert found.critical is critical
        assert found.value.get_values_for_type(x509.DNSName) == ["example.com", "www.example.com"]
        assert [str(each) for each in found.value.get_values_for_type(x509.IPAddress)] == [
            "192.0.2.1", "2001:db8::1", "192.0.2.2",
        ]  # fmt: skip
        assert found.value.get_values_for_type(x509.UniformResourceIdentifier) == ["https://example.com/"]


def test_a_key_that_is_only_written_signs_as_well_and_is_in_no_state(key_pem: str) -> None:
    inputs: Properties = {
        **BASIC,
        "privateKeyPem": None,
        "privateKeyPemWo": Secret(key_pem),
        "privateKeyPemWoVersion": 1,
    }
    outputs = made("SelfSignedCert", **inputs)[1]
    assert x509.load_pem_x509_certificate(str(outputs["certPem"]).encode())
    kept = state(kind("SelfSignedCert"), inputs, outputs)
    assert "PRIVATE KEY" not in str({name: value for name, value in kept.items() if name != "certPem"})
    assert not {"privateKeyPem", "privateKeyPemWo"} & set(kept)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no key at all", "it has none"),
        (PEM, "cannot be read as one"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "it has OPENSSH PRIVATE KEY",
        ),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "it has CERTIFICATE"),
    ],
)
def test_what_is_no_private_key_is_an_error_that_shows_nothing_of_it(text: str, words: str) -> None:
    with pytest.raises(PluginError, match=words) as raised:
        made("SelfSignedCert", **{**BASIC, "privateKeyPem": text})
    assert "MIIE" not in raised.value.message
    assert "no key at all" not in raised.value.message


def test_a_certificate_that_would_end_beyond_the_calendar_is_an_error(key_pem: str) -> None:
    with pytest.raises(PluginError, match="no such certificate"):
        made("SelfSignedCert", **{**BASIC, "privateKeyPem": key_pem, "validityPeriodHours": 10**8})


def test_a_country_of_three_letters_is_an_error(signed: Callable[..., x509.Certificate]) -> None:
    with pytest.raises(PluginError, match="length must be"):
        signed(subject={"country": "NLD"})


@pytest.mark.parametrize(
    ("name", "inputs", "where"),
    [
        ("PrivateKey", {}, "algorithm"),
        ("PrivateKey", {"algorithm": "DSA"}, "algorithm"),
        ("PrivateKey", {"algorithm": "RSA", "rsaBits": 512}, "rsaBits"),
        ("PrivateKey", {"algorithm": "RSA", "rsaBits": 100000000}, "rsaBits"),
        ("PrivateKey", {"algorithm": "RSA", "rsaBits": "2048"}, "rsaBits"),
        ("PrivateKey", {"algorithm": "ECDSA", "ecdsaCurve": "P999"}, "ecdsaCurve"),
        ("PrivateKey", {"algorithm": "RSA", "bits": 2048}, "bits"),
        ("SelfSignedCert", {**BASIC, "privateKeyPem": None}, "privateKeyPem"),
        ("SelfSignedCert", {**BASIC, "privateKeyPem": 5}, "privateKeyPem"),
        ("SelfSignedCert", {**BASIC, "privateKeyPemWo": PEM, "privateKeyPemWoVersion": 1}, "privateKeyPem"),
        ("SelfSignedCert", {**BASIC, "privateKeyPem": None, "privateKeyPemWo": PEM}, "privateKeyPemWoVersion"),
        ("SelfSignedCert", {**BASIC, "privateKeyPemWoVersion": 1}, "privateKeyPemWoVersion"),
        ("SelfSignedCert", {**BASIC, "validityPeriodHours": None}, "validityPeriodHours"),
        ("SelfSignedCert", {**BASIC, "validityPeriodHours": -1}, "validityPeriodHours"),
        ("SelfSignedCert", {**BASIC, "earlyRenewalHours": -1}, "earlyRenewalHours"),
        ("SelfSignedCert", {**BASIC, "allowedUses": None}, "allowedUses"),
        ("SelfSignedCert", {**BASIC, "allowedUses": ["everything"]}, "allowedUses"),
        ("SelfSignedCert", {**BASIC, "ipAddresses": ["example.com"]}, "ipAddresses"),
        ("SelfSignedCert", {**BASIC, "ipAddresses": ["fe80::1%eth0"]}, "ipAddresses"),
        ("SelfSignedCert", {**BASIC, "uris": [""]}, "uris"),
        ("SelfSignedCert", {**BASIC, "subject": {"name": "x"}}, "subject"),
        ("SelfSignedCert", {**BASIC, "subject": {"streetAddresses": "x"}}, "subject"),
        ("SelfSignedCert", {**BASIC, "isCaCertificate": True}, "subject"),
        ("SelfSignedCert", {**BASIC, "setAuthorityKeyId": True}, "setAuthorityKeyId"),
        ("SelfSignedCert", {**BASIC, "maxPathLength": 1}, "maxPathLength"),
        ("SelfSignedCert", {**BASIC, "maxPathLength": -2}, "maxPathLength"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_by_name(name: str, inputs: dict[str, Value], where: str) -> None:
    found = refused(name, **inputs)
    assert [each for each, _ in found] == [where]
    assert "MIIE" not in found[0][1]


def test_what_is_unknown_yet_is_not_judged() -> None:
    assert not refused("PrivateKey", algorithm=UNKNOWN, rsaBits=UNKNOWN)
    inputs: dict[str, Value] = {**BASIC, "privateKeyPem": Secret(UNKNOWN), "subject": {"commonName": UNKNOWN}}
    assert not refused("SelfSignedCert", **inputs, isCaCertificate=True, ipAddresses=[UNKNOWN], maxPathLength=UNKNOWN)


def kept(before: dict[str, Value], **also: Value) -> Properties:
    """Return the state of a certificate that ends in a day."""
    outputs: Properties = {
        "certPem": "made", "keyAlgorithm": "RSA", "validityStartTime": written(NOW - timedelta(days=1)),
        "validityEndTime": written(NOW + timedelta(days=1)), **also,
    }  # fmt: skip
    return {**state(kind("SelfSignedCert"), {**BASIC, "validityPeriodHours": 48, **before}, outputs), **also}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, Difference()),
        ({}, {"isCaCertificate": False, "setSubjectKeyId": False, "earlyRenewalHours": 0}, Difference()),
        ({}, {"validityPeriodHours": 49}, Difference(replaces=("validityPeriodHours",))),
        ({}, {"allowedUses": ["cert_signing"]}, Difference(replaces=("allowedUses",))),
        ({}, {"dnsNames": []}, Difference(replaces=("dnsNames",))),
        ({}, {"dnsNames": [UNKNOWN]}, Difference(replaces=("dnsNames",))),
        ({}, {"subject": {"commonName": "x"}}, Difference(replaces=("subject",))),
        ({"subject": {"commonName": "x"}}, {"subject": {"commonName": "x", "country": None}}, Difference()),
        ({"subject": {"commonName": "x"}}, {"subject": {"commonName": "y"}}, Difference(replaces=("subject",))),
        ({}, {"earlyRenewalHours": 1}, Difference(updates=("earlyRenewalHours",))),
        ({}, {"earlyRenewalHours": 23}, Difference(updates=("earlyRenewalHours",))),
        ({}, {"earlyRenewalHours": 24}, Difference(replaces=("readyForRenewal",), updates=("earlyRenewalHours",))),
        ({}, {"privateKeyPem": PEM.replace("MIIE", "MIIF")}, Difference(replaces=("privateKeyPem",))),
        ({}, {"privateKeyPem": Secret(PEM)}, Difference()),
        ({"privateKeyPem": "da39a3ee"}, {}, Difference(updates=("privateKeyPem",))),
        ({"maxPathLength": 0}, {}, Difference()),
        ({}, {"maxPathLength": 0}, Difference(replaces=("maxPathLength",))),
        ({"isCaCertificate": True}, {}, Difference(replaces=("isCaCertificate",))),
        ({}, {"privateKeyPem": None, "privateKeyPemWo": PEM, "privateKeyPemWoVersion": 1},
         Difference(replaces=("privateKeyPem", "privateKeyPemWoVersion"))),
        ({"privateKeyPem": None, "privateKeyPemWo": PEM, "privateKeyPemWoVersion": 1},
         {"privateKeyPem": None, "privateKeyPemWo": "another", "privateKeyPemWoVersion": 1}, Difference()),
        ({"privateKeyPem": None, "privateKeyPemWo": PEM, "privateKeyPemWoVersion": 1},
         {"privateKeyPem": None, "privateKeyPemWo": PEM, "privateKeyPemWoVersion": 2},
         Difference(replaces=("privateKeyPemWoVersion",))),
    ],
)  # fmt: skip
def test_a_change_replaces_or_not(before: dict[str, Value], after: dict[str, Value], expected: Difference) -> None:
    inputs: Properties = {**BASIC, "validityPeriodHours": 48, **after}
    assert difference(kind("SelfSignedCert"), kept(before), inputs, NOW) == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"algorithm": "RSA"}, Difference()),
        ({"algorithm": "RSA", "rsaBits": 2048, "ecdsaCurve": "P224"}, Difference()),
        ({"algorithm": "RSA", "rsaBits": 3072}, Difference(replaces=("rsaBits",))),
        ({"algorithm": "ECDSA"}, Difference(replaces=("algorithm",))),
        ({"algorithm": "RSA", "ecdsaCurve": "P256"}, Difference(replaces=("ecdsaCurve",))),
        ({"algorithm": UNKNOWN}, Difference(replaces=("algorithm",))),
    ],
)
def test_any_change_of_a_key_is_another_key(after: dict[str, Value], expected: Difference) -> None:
    old = state(kind("PrivateKey"), {"algorithm": "RSA"}, {})
    assert old["__meta"] == '{"schema_version":"1"}'
    assert difference(kind("PrivateKey"), old, after, NOW) == expected


@pytest.mark.parametrize(("moved", "replaced"), [(timedelta(hours=23), False), (timedelta(hours=24), True)])
def test_at_its_end_a_certificate_is_replaced(moved: timedelta, replaced: bool) -> None:
    inputs: Properties = {**BASIC, "validityPeriodHours": 48}
    found = difference(kind("SelfSignedCert"), kept({}), inputs, NOW + moved)
    assert found == (Difference(replaces=("readyForRenewal",)) if replaced else Difference())


def test_one_that_was_due_and_is_so_no_more_only_says_so() -> None:
    old = kept({"earlyRenewalHours": 30}, readyForRenewal=True)
    inputs: Properties = {**BASIC, "validityPeriodHours": 48, "earlyRenewalHours": 1}
    assert difference(kind("SelfSignedCert"), old, inputs, NOW).updates == ("earlyRenewalHours", "readyForRenewal")


@given(hours=st.integers(0, 100), early=st.integers(0, 100))
def test_a_certificate_is_due_from_as_many_hours_before_its_end(hours: int, early: int) -> None:
    told: Properties = {"validityEndTime": written(NOW + timedelta(hours=hours))}
    assert due(told, early, NOW) is (early >= hours)


def test_times_of_the_official_provider_are_read() -> None:
    for text in ("2026-03-01T12:00:00.123456789Z", "2026-03-01T13:00:00.12+01:00", "2026-03-01T12:00:00Z"):
        assert due({"validityEndTime": text}, 0, NOW)
        assert not due({"validityEndTime": text}, 0, NOW - timedelta(minutes=1))
    with pytest.raises(PluginError, match="which is no time"):
        due({"validityEndTime": "tomorrow"}, 0, NOW)


@settings(max_examples=20)
@given(data=st.data())
def test_what_was_just_made_never_differs_from_its_inputs(data: st.DataObject) -> None:
    inputs: Properties = {
        "algorithm": data.draw(st.sampled_from(["ECDSA", "ED25519"])),
        **data.draw(st.fixed_dictionaries({}, optional={"ecdsaCurve": st.sampled_from(["P224", "P256"])})),
    }
    resource = kind("PrivateKey")
    found = state(resource, inputs, made("PrivateKey", **inputs)[1])
    assert difference(resource, found, inputs, NOW) == Difference()
    assert {key for key, value in found.items() if isinstance(value, Secret)} == set(resource.secret)
    assert None not in found.values()


def test_in_a_preview_what_is_made_later_is_unknown_and_the_rest_is_told() -> None:
    resource = kind("SelfSignedCert")
    inputs: Properties = {**BASIC, "privateKeyPem": Secret(UNKNOWN)}
    foretold = state(resource, inputs, unmade(resource, inputs))
    assert {name for name, value in foretold.items() if value == UNKNOWN} == {*resource.outputs, "maxPathLength"}
    assert foretold["readyForRenewal"] is False
    assert state(resource, {**inputs, "earlyRenewalHours": 24}, {})["readyForRenewal"] is True
    assert state(resource, {**inputs, "validityPeriodHours": 0}, {})["readyForRenewal"] is True


@pytest.fixture(scope="module")
def served() -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    """The provider as the engine speaks to it."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(TlsProvider(), server)  # type: ignore[no-untyped-call,unused-ignore]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)  # type: ignore[no-untyped-call,unused-ignore]
    server.stop(0).wait()


def test_a_private_key_is_a_secret_though_nobody_marked_it(served: provider_pb2_grpc.ResourceProviderStub) -> None:
    request = provider_pb2.CheckRequest(urn=CERTIFICATE, news=encode(BASIC))
    answer = served.Check(request, timeout=10)
    assert not answer.failures
    assert decode(answer.inputs) == {**BASIC, "privateKeyPem": Secret(PEM)}


def test_a_refresh_marks_a_certificate_whose_time_has_come(served: provider_pb2_grpc.ResourceProviderStub) -> None:
    for days, ready in ((-1, True), (1, False)):
        ends = written(datetime.now(UTC) + timedelta(days=days))
        old = kept({}, validityEndTime=ends)
        answer = served.Read(provider_pb2.ReadRequest(id="7", urn=CERTIFICATE, properties=encode(old)), timeout=10)
        assert decode(answer.properties) == {**old, "readyForRenewal": ready}


def test_an_update_takes_the_inputs_and_leaves_the_certificate(served: provider_pb2_grpc.ResourceProviderStub) -> None:
    old = kept({"maxPathLength": 0})
    news: Properties = {**BASIC, "validityPeriodHours": 48, "earlyRenewalHours": 2}
    request = provider_pb2.UpdateRequest(id="7", urn=CERTIFICATE, olds=encode(old), news=encode(news))
    found = decode(served.Update(request, timeout=10).properties)
    assert found == {**old, "earlyRenewalHours": 2}


def test_what_is_ignored_replaces_nothing(served: provider_pb2_grpc.ResourceProviderStub) -> None:
    old = encode(state(kind("PrivateKey"), {"algorithm": "RSA"}, {}))
    news = encode({"algorithm": "RSA", "rsaBits": 4096})
    for ignored, replaces in (([], ["rsaBits"]), (["rsaBits"], [])):
        request = provider_pb2.DiffRequest(urn=KEY, olds=old, news=news, ignoreChanges=ignored)
        assert list(served.Diff(request, timeout=10).replaces) == replaces


def test_an_import_and_another_resource_are_errors_that_say_why(
    served: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        served.Read(provider_pb2.ReadRequest(id="7", urn=KEY), timeout=10)
    assert "PrivateKey cannot be imported" in str(raised.value.details())
    request = provider_pb2.CheckRequest(urn="urn:pulumi:dev::trial::tls:index/certRequest:CertRequest::x")
    with pytest.raises(grpc.RpcError) as raised:
        served.Check(request, timeout=10)
    assert "pulumi plugin install resource tls" in str(raised.value.details())


def test_the_plugin_starts_without_the_sdk_and_without_what_makes_keys(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from offline.plugin import lean\n"
        "lean.skip_sdk()\n"
        "lean.skip_asyncio()\n"
        "import offline.tls.__main__\n"
        "print([name for name in ('cryptography', 'asyncio', 'pulumi.resource') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"
