"""A machine's own authorities are told from those that everybody has."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from setup import certificates


def pem(content: bytes) -> str:
    body = base64.encodebytes(content).decode().strip()
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("usual", "local"):
        (tmp_path / name).mkdir()
    (tmp_path / "usual" / "everybody.crt").write_text(pem(b"everybody"))
    monkeypatch.setattr(certificates, "USUAL", (tmp_path / "usual",))
    monkeypatch.setattr(certificates, "LOCAL_FOLDERS", (tmp_path / "local",))
    monkeypatch.setattr(certificates, "BUNDLES", (tmp_path / "bundle.crt",))
    return tmp_path


def texts(environment: dict[str, str]) -> list[str]:
    return sorted(certificates.beyond_the_usual(environment).values())


def test_what_was_added_by_hand_is_taken_and_the_usual_is_not(machine: Path) -> None:
    (machine / "local" / "company.crt").write_text(pem(b"company") + pem(b"everybody"))
    assert texts({}) == [pem(b"company")]


def test_a_bundle_that_a_variable_names_counts(machine: Path) -> None:
    (machine / "named.pem").write_text("# a comment\n" + pem(b"company") + pem(b"everybody"))
    assert texts({"PIP_CERT": str(machine / "named.pem")}) == [pem(b"company")]


def test_an_authority_in_the_systems_bundle_alone_is_taken(machine: Path) -> None:
    (machine / "bundle.crt").write_text(pem(b"everybody") + pem(b"company"))
    assert texts({}) == [pem(b"company")]


def test_where_the_usual_ones_cannot_be_told_the_whole_bundle_is_not_taken(machine: Path) -> None:
    (machine / "usual" / "everybody.crt").unlink()
    (machine / "bundle.crt").write_text(pem(b"everybody") + pem(b"company"))
    assert texts({}) == []


def test_each_authority_is_one_file_with_a_name_of_its_own(machine: Path) -> None:
    (machine / "local" / "a.crt").write_text(pem(b"one") + pem(b"two") + pem(b"one"))
    names = list(certificates.beyond_the_usual({}))
    assert len(names) == len(set(names)) == 2
    assert all(name.endswith(".crt") for name in names)


def test_a_file_that_cannot_be_read_or_is_no_certificate_is_passed_over(machine: Path) -> None:
    (machine / "local" / "broken.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\n\xff\xfe\n")
    assert texts({"SSL_CERT_FILE": str(machine / "absent")}) == []
