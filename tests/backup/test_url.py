"""Database URLs, in the forms of SQLAlchemy and libpq."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup import url
from backup.error import StopError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1)
NAME = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)


def reason(text: str) -> str:
    """Why a URL is refused; empty when it is not."""
    try:
        url.parse(text)
    except ValueError as error:
        return str(error)
    return ""


def postgres(text: str) -> url.Postgres:
    """Where a URL leads."""
    found = url.parse(text)
    assert isinstance(found, url.Postgres)
    return found


@given(st.sampled_from(["postgresql+psycopg", "postgresql", "postgres"]), TEXT, TEXT, NAME, TEXT)
def test_every_part_survives_its_encoding(scheme: str, user: str, password: str, host: str, database: str) -> None:
    user_, password_, database_ = (quote(part, safe="") for part in (user, password, database))
    target = postgres(f"{scheme}://{user_}:{password_}@{host}:6000/{database_}?sslmode=require")
    assert (target.keywords["user"], target.password, target.database) == (user, password, database)
    assert (target.keywords["host"], target.keywords["port"]) == (host, "6000")
    assert password not in repr(target) or password in user + host + database + "@/"
    assert "password" not in target.conninfo().split("=")[0]


@given(TEXT)
def test_no_text_makes_it_fail_but_with_a_reason(text: str) -> None:
    for form in (text, f"postgresql://{text}"):
        told = reason(form)
        assert told == "" or len(told) > 20


@given(st.text("abc@:/%'?#\\= ä", min_size=1, max_size=12))
def test_an_error_never_quotes_the_password(middle: str) -> None:
    secret = f"XSECRETX{middle}XSECRETX"
    assert "XSECRETX" not in reason(f"postgresql+psycopg://user:{secret}@host/db")
    assert "XSECRETX" not in reason(f"host=h user=u dbname=d password={secret}")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("postgresql://u:p@h/d", "h", None),
        ("postgresql://u:p@[2001:db8::1]:6000/d", "2001:db8::1", "6000"),
        ("postgresql://u:p@a:1,b/d", "a,b", "1,5432"),
        ("postgresql+psycopg://u:p@/d?host=a:1&host=b:2", "a,b", "1,2"),
        ("postgresql://u:p@/d?host=%2Frun%2Fpostgresql", "/run/postgresql", None),
        ("postgresql://u@h/d?password=p", "h", None),
        ("postgresql://h/d?user=u&password=p", "h", None),
        ("host=h user=u dbname=d password=p", "h", None),
    ],
)
def test_the_forms_of_both_libraries_are_understood(text: str, host: str, port: str | None) -> None:
    target = postgres(text)
    assert (target.keywords["user"], target.password, target.database) == ("u", "p", "d")
    assert (target.keywords["host"], target.keywords.get("port")) == (host, port)


@pytest.mark.parametrize("password", ["a:b/c'd", "100%", "50%25"])
def test_what_sqlalchemy_takes_unencoded_is_taken_too(password: str) -> None:
    target = postgres(f"postgresql+psycopg://u:{password}@h/d")
    assert target.password == password.replace("%25", "%")


def test_a_database_named_like_a_connection_string_stays_a_name() -> None:
    target = postgres("postgresql://u:p@h/host%3Devil%20dbname%3Dx")
    assert target.database == "host=evil dbname=x"
    assert r"dbname='host=evil dbname=x'" in target.conninfo()
    assert "host=h " in target.conninfo() + " "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "neither a URL nor libpq's keyword=value form"),
        ("mysql://u:p@h/d", "got the scheme 'mysql'"),
        ("postgresql://u:p%0A@h/d", "line break"),
        ("postgresql://u:p%FF@h/d", "not UTF-8"),
        ("postgresql://u:p@q@h/d", "more than one @"),
        ("postgresql://u:p#q@h/d", "a # that is not encoded"),
        ("postgresql://h/d", "it names no user"),
        ("postgresql://u:p@h", "it names no database"),
        ("postgresql://u:p@h:0/d", "a port from 1 to 65535"),
        ("postgresql://u:p@h/d?sslmode", "not name=value"),
        ("postgresql://u:p@h/d?sslpassword=x", "sslpassword"),
        ("postgresql://u:p@h/d?pool=5", "libpq does not take its parameters"),
        ("sqlite://", "names no SQLite file"),
    ],
)
def test_an_unusable_url_is_told_why(text: str, words: str) -> None:
    assert words in reason(text)


def test_the_first_setting_counts_and_without_any_the_message_says_so(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:p@first/d\n")
    both = {"DATABASE_URL_FILE": str(file), "SQLALCHEMY_DATABASE_URI": "postgresql://u:p@second/d"}
    assert "first" in repr(url.find(both))
    assert "second" in repr(url.find({"SQLALCHEMY_DATABASE_URI": both["SQLALCHEMY_DATABASE_URI"]}))
    with pytest.raises(StopError, match=r"^No database URI found"):
        url.find({})


def test_an_sqlite_url_names_its_file() -> None:
    found = url.parse("sqlite:////data/my%20app.db")
    assert found == url.Sqlite(Path("/data/my app.db"))
    assert found.database == "my app"
