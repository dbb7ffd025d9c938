"""Database URLs."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server import url

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1)
NAME = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)


def reason(text: str) -> str:
    """Why a URL is refused; empty when it is not."""
    try:
        url.parse(text)
    except ValueError as error:
        return str(error)
    return ""


@given(st.sampled_from(url.SCHEMES), TEXT, TEXT, NAME, st.integers(1, 65535), TEXT)
def test_every_part_survives_its_encoding(
    scheme: str, user: str, password: str, host: str, port: int, database: str
) -> None:
    user_, password_, database_ = (quote(part, safe="") for part in (user, password, database))
    target = url.parse(f"{scheme}://{user_}:{password_}@{host}:{port}/{database_}?sslmode=require")
    assert (target.user, target.password, target.database) == (user, password, database)
    assert (target.hosts, target.ports) == ((host,), (str(port),))
    assert target.parameters == {"sslmode": "require"}


@given(TEXT)
def test_no_text_makes_it_fail_but_with_a_reason(text: str) -> None:
    for form in (text, f"postgresql://{text}"):
        told = reason(form)
        assert told == "" or len(told) > 20


@given(st.text("abc@:/%'?#\\ ä", min_size=1, max_size=12))
def test_an_error_never_quotes_the_password(middle: str) -> None:
    assert "XSECRETX" not in reason(f"postgresql+psycopg://user:XSECRETX{middle}XSECRETX@host/db")


@pytest.mark.parametrize(
    ("text", "hosts", "ports"),
    [
        ("postgresql://u:p@h/d", ("h",), ("5432",)),
        ("postgresql://u:p@[2001:db8::1]:6000/d", ("2001:db8::1",), ("6000",)),
        ("postgresql://u:p@a:1,b:2/d", ("a", "b"), ("1", "2")),
        ("postgresql+psycopg://u:p@/d?host=a:1&host=b:2", ("a", "b"), ("1", "2")),
        ("postgresql://u:p@/d?host=%2Frun%2Fpostgresql", ("/run/postgresql",), ("5432",)),
        ("postgresql://u:p@/d?host=a&port=7", ("a",), ("7",)),
        ("postgresql://u@h/d?password=p", ("h",), ("5432",)),
    ],
)
def test_the_forms_of_both_libraries_are_understood(text: str, hosts: tuple[str, ...], ports: tuple[str, ...]) -> None:
    target = url.parse(text)
    assert (target.user, target.password, target.hosts, target.ports) == ("u", "p", hosts, ports)
    assert "'p'" not in repr(target)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("host=h user=u", "this is not a URL"),
        ("mysql://u:p@h/d", "got the scheme 'mysql'"),
        ("postgresql+psycopg2://u:p@h/d", "got the scheme 'postgresql+psycopg2'"),
        ("postgresql://u:p%zz@h/d", "its password has a % that starts no escape"),
        ("postgresql://u:p%0A@h/d", "line break"),
        ("postgresql://u:p%FF@h/d", "not UTF-8"),
        ("postgresql://u:p/q@h/d", "an @ after its first /"),
        ("postgresql://u:p@q@h/d", "more than one @"),
        ("postgresql://u:p?q@h/d", "an @ after its ?"),
        ("postgresql://u:p#q@h/d", "a # that is not encoded"),
        ("postgresql://u@h/d", "it names no password"),
        ("postgresql://h/d", "it names no user"),
        ("postgresql://u:p@h", "it names no database"),
        ("postgresql://u:p@/d", "it names no host"),
        ("postgresql://u:p@h:0/d", "a port from 1 to 65535"),
        ("postgresql://u:p@h/d?sslmode", "not name=value"),
    ],
)
def test_an_unusable_url_is_told_why(text: str, words: str) -> None:
    assert words in reason(text)
