"""Second factors by themselves: codes that the standard gives, pictures that are read, keys that are changed."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from scaffold import create_app
from scaffold.factors import recovery_codes, seeds, totp
from scaffold.settings import Settings

SEED = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert totp.code(SEED, totp.step_at(seconds)) == code
    assert totp.matching_step(SEED, code, seconds) == seconds // 30


def test_a_clock_may_be_wrong_by_one_step_and_no_more() -> None:
    for steps, right in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = totp.code(SEED, totp.step_at(1_700_000_000) + steps)
        assert (totp.matching_step(SEED, code, 1_700_000_000) is not None) is right


@pytest.mark.parametrize(
    ("typed", "plain"),
    [("123456", "123456"), (" 123 456 ", "123456"), ("123-456", "123456"), ("12345", None), ("1234567", None),
     ("12345a", None), ("١٢٣٤٥٦", None), ("", None)],
)  # fmt: skip
def test_a_code_is_six_digits_however_it_is_spaced(typed: str, plain: str | None) -> None:
    assert totp.plain(typed) == plain


def test_what_an_app_reads_names_the_site_and_the_account_and_holds_the_seed() -> None:
    address = totp.address(SEED, "Ten: & Co", "ada+x@example.org")
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parts.path == "/Ten%3A%20%26%20Co:ada%2Bx@example.org"
    values = parse_qs(parts.query)
    assert values["issuer"] == ["Ten: & Co"]
    assert base64.b32decode(values["secret"][0]) == SEED
    assert (values["algorithm"], values["digits"], values["period"]) == (["SHA1"], ["6"], ["30"])


def test_the_picture_is_dark_on_light_with_a_margin_and_styles_nothing_inline() -> None:
    picture = totp.picture(totp.address(SEED, "Scaffold", "ada@example.org"))
    assert picture.startswith("<svg")
    assert 'fill="#fff"' in picture
    assert 'stroke="#000"' in picture
    assert "style=" not in picture
    assert "<script" not in picture


def test_recovery_codes_are_random_enough_and_read_however_they_are_typed() -> None:
    codes = {recovery_codes.made() for _ in range(50)}
    assert len(codes) == 50
    for code in codes:
        assert re.fullmatch(r"(?:[a-z2-7]{4}-){5}[a-z2-7]{4}", code)
        letters = recovery_codes.plain(code)
        assert letters is not None
        assert len(letters) * 5 >= 112
        assert recovery_codes.plain(f"  {code.upper().replace('-', ' ')} ") == letters
    for typed in ("", "123456", "a" * 23, "a" * 25, "a" * 10_000, "0" * 24):
        assert recovery_codes.plain(typed) is None


def test_a_seed_is_opened_with_an_old_key_until_that_is_gone(settings: Settings) -> None:
    def at(*keys: str) -> Flask:
        return create_app(replace(settings, factor_keys=keys))

    old, new = "0ld-" + "abcdefghijklmnopqrstuvwxyz0123456789", "n3w-" + "abcdefghijklmnopqrstuvwxyz0123456789"
    with at(old).app_context():
        kept = seeds.sealed(SEED)
        assert SEED not in kept
        assert seeds.is_of_first_key(kept)
    with at(new, old).app_context():
        assert seeds.opened(kept) == SEED
        assert not seeds.is_of_first_key(kept)
        renewed = seeds.sealed(seeds.opened(kept))
    with at(new).app_context():
        assert seeds.opened(renewed) == SEED
        with pytest.raises(seeds.Unreadable, match="FACTOR_KEY_FALLBACKS"):
            seeds.opened(kept)


def test_time_does_not_stand_still_for_a_code() -> None:
    now = time.time()
    assert totp.matching_step(SEED, totp.code(SEED, totp.step_at(now)), now) is not None
    assert totp.matching_step(SEED, totp.code(SEED, totp.step_at(now)), now + 91) is None
