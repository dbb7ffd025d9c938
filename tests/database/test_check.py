"""The check of a managed database: each thing that is wrong has a name, and its SQL mends it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server import finding, psql

OWNER_PASSWORD, APP_PASSWORD = "ow@n:er/%'1", "ap\\p @:/%'2"


def address(user: str, password: str, database: str = "managed", scheme: str = "postgresql+psycopg") -> str:
    return f"{scheme}://{user}:{quote(password, safe='')}@127.0.0.1:5432/{database}"


OWNER, APP = address("boss", OWNER_PASSWORD), address("clerk", APP_PASSWORD)


@pytest.fixture
def managed(shared: Any) -> Iterator[Any]:
    """A database as an administrator of a managed server would make it, ready for use."""
    passwords = [text.replace("'", "''") for text in (OWNER_PASSWORD, APP_PASSWORD)]
    shared.sql(
        f"CREATE ROLE boss LOGIN PASSWORD '{passwords[0]}'; CREATE ROLE clerk LOGIN PASSWORD '{passwords[1]}';"
        "GRANT CONNECT ON DATABASE postgres TO boss",
    )
    shared.sql("CREATE DATABASE managed OWNER boss")
    shared.sql(
        "ALTER SCHEMA public OWNER TO boss; GRANT USAGE ON SCHEMA public TO clerk; SET ROLE boss;"
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO clerk;"
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO clerk;"
        "CREATE TABLE thing (id bigserial); CREATE TABLE releases (id serial);"
        "REVOKE INSERT, UPDATE, DELETE ON releases FROM clerk; REVOKE USAGE ON SEQUENCE releases_id_seq FROM clerk",
        database="managed",
    )
    yield shared
    shared.sql("DROP DATABASE managed WITH (FORCE)", database="postgres")
    shared.sql("REVOKE CONNECT ON DATABASE postgres FROM boss; DROP OWNED BY boss, clerk; DROP ROLE boss, clerk")


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_a_database_in_order_passes_and_its_version_is_told(managed: Any, scheme: str) -> None:
    status, lines = managed.check(
        address("boss", OWNER_PASSWORD, scheme=scheme), address("clerk", APP_PASSWORD, scheme=scheme)
    )
    assert (status, len(lines)) == (0, 1), lines
    assert lines[0]["server_version"].startswith("17.")
    left = managed.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'scaffold_check%'", database="managed")
    assert left == "0", "the check leaves nothing behind"


def test_the_roles_that_the_roles_job_makes_pass_too(shared: Any, passwords: dict[str, str]) -> None:
    status, lines = shared.check(
        address("owner", passwords["owner"], "scaffold"), address("app_b", passwords["app_b"], "scaffold")
    )
    assert status == 0, lines


@pytest.mark.parametrize(
    ("harms", "names"),
    [
        (["ALTER SCHEMA public OWNER TO postgres"], {"owner-without-ddl"}),
        (["REVOKE CONNECT ON DATABASE managed FROM PUBLIC"], {"app-connect-denied"}),
        (["GRANT boss TO clerk"], {"app-in-owner", "app-with-ddl"}),
        (["GRANT CREATE ON DATABASE managed TO clerk"], {"app-with-ddl"}),
        (["GRANT pg_write_all_data TO clerk"], {"app-writes-records"}),
        (["REVOKE SELECT ON releases FROM clerk"], {"app-without-dml"}),
        (
            [
                "GRANT CREATE ON SCHEMA public TO PUBLIC",
                "ALTER ROLE clerk CREATEDB",
                "REVOKE CONNECT ON DATABASE postgres FROM boss",
                "ALTER TABLE thing OWNER TO clerk",
            ],
            {"app-with-ddl", "app-too-powerful", "owner-without-lock", "app-owns-objects"},
        ),
        (
            [
                "REVOKE USAGE ON SCHEMA public FROM clerk, PUBLIC",
                "REVOKE UPDATE ON thing FROM clerk",
                "ALTER DEFAULT PRIVILEGES FOR ROLE boss IN SCHEMA public REVOKE INSERT ON TABLES FROM clerk",
            ],
            {"app-without-schema", "app-without-dml", "app-without-default-privileges"},
        ),
    ],
)
def test_each_finding_is_named_and_its_sql_mends_it(managed: Any, harms: list[str], names: set[str]) -> None:
    managed.sql("; ".join(harms), database="managed")
    status, lines = managed.check(OWNER, APP)
    found = {item["finding"]: item for item in lines if "finding" in item}
    assert (status, set(found)) == (1, names), lines
    for _ in range(2):  # what one finding's SQL gives to the owner, the app may need rights on next
        for item in found.values():
            statements = item["mend"].partition(": ")[2]
            who = "boss" if ", as boss:" in item["mend"] else "postgres"
            managed.sql(f"SET ROLE {who}; {statements}", database="managed")
        status, lines = managed.check(OWNER, APP)
        found = {item["finding"]: item for item in lines if "finding" in item}
        if not status:
            break
    assert status == 0, lines


@pytest.mark.parametrize(
    ("owner", "app", "name"),
    [
        (address("boss", "wrong"), APP, "owner-login-refused"),
        (OWNER, address("nobody", "x"), "app-login-refused"),
        (address("boss", OWNER_PASSWORD, "absent"), APP, "owner-database-missing"),
        (OWNER.replace(":5432", ":5999"), APP, "owner-unreachable"),
        (OWNER, OWNER, "app-is-owner"),
        (OWNER + "?sslmode=require", APP, "owner-unreachable"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_apart_by_the_reason(managed: Any, owner: str, app: str, name: str) -> None:
    status, lines = managed.check(owner, app)
    assert status == 1
    assert name in [item.get("finding") for item in lines], lines
    assert "ow@n" not in str(lines)
    assert quote(OWNER_PASSWORD, safe="") not in str(lines)


def test_urls_that_lead_to_different_databases_are_refused(managed: Any) -> None:
    managed.sql("GRANT CONNECT ON DATABASE scaffold TO clerk; GRANT USAGE ON SCHEMA public TO clerk")
    try:
        status, lines = managed.check(OWNER, address("clerk", APP_PASSWORD, "scaffold"))
        assert status == 1
        assert "different-databases" in [item.get("finding") for item in lines]
    finally:
        managed.sql("REVOKE ALL ON DATABASE scaffold FROM clerk; REVOKE ALL ON SCHEMA public FROM clerk")


def test_a_missing_or_broken_setting_is_named_without_its_value(shared: Any) -> None:
    status, lines = shared.check("", APP)
    assert status == 1
    assert lines[0]["event"].startswith("DATABASE_URL: not set")
    status, lines = shared.check("postgresql://boss:se@cret@host/db", APP)
    assert status == 1
    assert "cret" not in lines[0]["event"].replace("secret", "")


@pytest.mark.parametrize(("number", "names"), [(130014, ["version-too-old"]), (140000, []), (170012, [])])
def test_the_oldest_version_is_14(number: int, names: list[str]) -> None:
    assert [item.name for item in finding.version(number, "x")] == names


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1))
def test_a_password_survives_the_password_file(password: str) -> None:
    line = psql.passfile_line(password)
    *wild, kept = re.split(r"(?<!\\)(?:\\\\)*:", line.removesuffix("\n"), maxsplit=4)
    assert wild == ["*"] * 4
    assert re.sub(r"\\(.)", r"\1", kept) == password
