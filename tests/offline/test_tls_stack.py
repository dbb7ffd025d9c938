"""The tls provider, through a real `pulumi up`."""

from __future__ import annotations

import json

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.offline.conftest import Project

PAIR = """
import pulumi, pulumi_tls as tls

key = tls.PrivateKey("key", algorithm="RSA", rsa_bits=BITS)
certificate = tls.SelfSignedCert(
    "certificate", private_key_pem=key.private_key_pem, validity_period_hours=VALID, early_renewal_hours=EARLY,
    allowed_uses=["digital_signature", "key_encipherment"], subject=tls.SelfSignedCertSubjectArgs(common_name="NAME"),
)

pulumi.export("key", key.private_key_pem)
pulumi.export("pkcs8", key.private_key_pem_pkcs8)
pulumi.export("openssh", key.private_key_openssh)
pulumi.export("keyId", key.id)
pulumi.export("certificate", certificate.cert_pem)
pulumi.export("certificateId", certificate.id)
"""


def pair(project: Project, bits: int = 2048, valid: int = 87600, early: int = 0, name: str = "example.com") -> None:
    """Write a program with a key and its certificate."""
    source = PAIR.replace("BITS", str(bits)).replace("VALID", str(valid)).replace("EARLY", str(early))
    project.program(source.replace("NAME", name))


def test_a_pair_is_made_once_and_kept_and_its_key_is_a_secret(project: Project) -> None:
    pair(project)
    assert "+ 3 to create" in project.succeed("preview", "--stack", "dev")
    shown = project.up()
    first = project.outputs()
    found = x509.load_pem_x509_certificate(first["certificate"].encode())
    found.verify_directly_issued_by(found)
    assert found.subject.rfc4514_string() == "CN=example.com"
    assert isinstance(found.public_key(), rsa.RSAPublicKey)
    project.up("--refresh", "--expect-no-changes")
    assert project.outputs() == first

    stored = json.dumps(project.deployment())
    for text in (shown, stored):
        assert "PRIVATE KEY" not in text
        assert first["key"].splitlines()[1] not in text
    assert "BEGIN CERTIFICATE" in stored
    assert "PRIVATE KEY" in first["key"]

    # The name is the certificate's alone.
    pair(project, name="other.example.com")
    project.up()
    second = project.outputs()
    assert {name for name in first if first[name] != second[name]} == {"certificate", "certificateId"}

    # Another key takes another certificate with it.
    pair(project, bits=3072, name="other.example.com")
    shown = project.up()
    assert shown.index("creating replacement") < shown.index("deleting original")
    third = project.outputs()
    assert {name for name in second if second[name] != third[name]} == set(first)
    public = x509.load_pem_x509_certificate(third["certificate"].encode()).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert public.key_size == 3072
    project.succeed("destroy", "--yes", "--skip-preview", "--stack", "dev")


def test_a_certificate_is_renewed_early_and_its_key_stays(project: Project) -> None:
    pair(project, valid=48, early=24)
    project.up()
    first = project.outputs()
    pair(project, valid=48, early=12)
    shown = project.up()
    assert "1 updated" in shown
    assert project.outputs() == first
    # From the start it is nearer to its end than that: every update makes another one.
    pair(project, valid=48, early=48)
    project.up()
    second = project.outputs()
    project.up("--refresh")
    third = project.outputs()
    for before, after in ((first, second), (second, third)):
        assert {name for name in before if before[name] != after[name]} == {"certificate", "certificateId"}


def test_a_refusal_names_the_resource_and_the_input(project: Project) -> None:
    project.program("import pulumi_tls as tls\ntls.PrivateKey('weak', algorithm='RSA', rsa_bits=512)\n")
    shown = project.fail("preview", "--stack", "dev")
    assert "weak" in shown
    assert "is 512; it must be from 1024" in shown
    project.program(
        """
        import pulumi_tls as tls
        tls.SelfSignedCert(
            "odd", private_key_pem="no key", validity_period_hours=1, allowed_uses=[],
            subject={"common_name": "x"},
        )
        """
    )
    shown = project.fail("up", "--yes", "--skip-preview", "--stack", "dev")
    assert "privateKeyPem must be PEM" in shown
    assert "no key" not in shown


def test_a_resource_that_is_not_mirrored_says_where_it_is(project: Project) -> None:
    project.program("import pulumi_tls as tls\ntls.CertRequest('r', private_key_pem='x')\n")
    assert "pulumi plugin install resource tls" in project.fail("preview", "--stack", "dev")
