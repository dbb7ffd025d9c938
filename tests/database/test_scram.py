"""Passwords as SCRAM verifiers."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server import scram

ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_hmac_is_the_standard_librarys(key: bytes, message: bytes) -> None:
    assert scram.hmac_sha256(key, message) == hmac.new(key, message, hashlib.sha256).digest()


@settings(max_examples=25)
@given(ASCII, ASCII)
def test_a_verifier_recognises_its_password_alone(one: str, other: str) -> None:
    stored = scram.new(one).render()
    assert scram.matches(one, stored)
    assert scram.matches(other, stored) is (one == other)
    assert one not in stored or len(one) < 8


def test_the_example_of_rfc_7677_holds() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    verifier = scram.derive("pencil", salt, 4096)
    auth = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.new(verifier.server_key, auth, hashlib.sha256).digest()
    assert signature == base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(("given_", "kept"), [("I\u00adX", "IX"), ("user", "user"), ("\u00aa", "a"), ("\u2168", "IX")])
def test_passwords_are_prepared_as_rfc_4013_says(given_: str, kept: str) -> None:
    assert scram.prepared(given_) == kept


@pytest.mark.parametrize("password", ["", "\u0007", "\u0627\u0031", "\u00ad", "a\u0627", "x\ny"])
def test_a_password_that_clients_could_not_send_is_refused_unquoted(password: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 4013|empty"):
        scram.prepared(password)


@pytest.mark.parametrize("stored", [None, "", "md5abc", "SCRAM-SHA-256$1:AAAA$AAAA:AAAA"])
def test_what_is_no_sound_verifier_matches_nothing(stored: str | None) -> None:
    assert not scram.matches("x", stored)
