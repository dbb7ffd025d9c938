"""What becomes of a plain dump's statements, before anything has been touched."""

from __future__ import annotations

import io

import pytest

from restore import rules
from restore.refusal import RefusalError
from restore.script import About, Script

HEAD = b"""--
-- PostgreSQL database dump
--

\\restrict abc

-- Dumped from database version 17.11 (Debian 17.11-1)
-- Dumped by pg_dump version 17.12

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
"""
TAIL = b"""
--
-- PostgreSQL database dump complete
--

\\unrestrict abc
"""


def read(content: bytes, schemas: frozenset[str] = frozenset({"public"})) -> tuple[About, list[tuple[str, bytes]]]:
    """What a dump tells, and what becomes of each statement after the first lines."""
    script = Script(io.BytesIO(content).read, schemas=schemas)
    found = [(step.verdict.action, step.statement.text) for step in script.steps()]
    return script.about, found[3:] if content.startswith(HEAD) else found


def verdicts(statements: bytes) -> list[tuple[str, bytes]]:
    """What becomes of statements in a dump."""
    return read(HEAD + statements + TAIL)[1]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (b"COPY t TO PROGRAM 'sh';", "COPY that is not FROM stdin"),
        (b"COPY t FROM PROGRAM 'touch /tmp/x';", "COPY that is not FROM stdin"),
        (b"COPY t FROM '/etc/passwd';", "COPY that is not FROM stdin"),
        (b"copy /* FROM stdin */ public.t(a) from\n program 'x';", "COPY that is not FROM stdin"),
        (b"COPY t TO STDOUT;", "COPY that is not FROM stdin"),
        (b"COPY (SELECT 1) TO '/tmp/x';", "COPY that is not FROM stdin"),
        (b"COPY t FROM stdin WITH (FORMAT binary);\n\\.\n", "COPY that is not FROM stdin"),
        (b"COPY BINARY t FROM stdin;\n\\.\n", "COPY that is not FROM stdin"),
        (b"CREATE DATABASE x;", "CREATE DATABASE"),
        (b"  drop -- x\n database app;", "DROP DATABASE"),
        (b"DROP/**/DATABASE IF EXISTS app;", "DROP DATABASE"),
        (b"ALTER DATABASE app OWNER TO me;", "ALTER DATABASE"),
        (b"ALTER SYSTEM SET archive_command = 'touch /tmp/x';", "ALTER SYSTEM"),
        (b"CREATE ROLE x SUPERUSER;", "CREATE ROLE"),
        (b"ALTER USER restore_loader PASSWORD 'x';", "ALTER USER"),
        (b"DROP ROLE owner;", "DROP ROLE"),
        (b"CREATE TABLESPACE x LOCATION '/tmp';", "CREATE TABLESPACE"),
        (b"REASSIGN OWNED BY restore_loader TO owner;", "REASSIGN OWNED"),
        (b"PREPARE TRANSACTION 'x';", "PREPARE TRANSACTION"),
        (b"LOAD 'x';", "LOAD"),
        (b"ALTER EXTENSION hstore UPDATE;", "ALTER EXTENSION"),
        (b"CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'system';", "LANGUAGE C"),
        (b"CREATE OR REPLACE FUNCTION f() RETURNS int AS 'libc', 'system' LANGUAGE 'C';", "LANGUAGE C"),
        (b'CREATE FUNCTION f() RETURNS int AS $$x$$ LANGUAGE "c";', "LANGUAGE C"),
        (b"CREATE PROCEDURE f() LANGUAGE internal AS 'x';", "LANGUAGE INTERNAL"),
        (b"SET standard_conforming_strings = off;", "standard_conforming_strings to 'off'"),
        (b"SET standard_conforming_strings TO 'off';", "standard_conforming_strings to 'off'"),
        (b'SET SESSION "standard_conforming_strings" TO false;', "standard_conforming_strings to 'false'"),
        (b"SET LOCAL standard_conforming_strings = DEFAULT;", "standard_conforming_strings to 'default'"),
        (b"SET client_encoding = 'SJIS';", "encoding sjis"),
        (b"SET NAMES 'Shift_JIS_2004';", "encoding shift_jis_2004"),
        (b"SET client_encoding TO gb18030;", "encoding gb18030"),
    ],
)
def test_what_no_dump_of_a_database_has_in_it_is_refused_with_its_line(statement: bytes, words: str) -> None:
    with pytest.raises(RefusalError, match=words) as caught:
        verdicts(b"SELECT 1;\n" + statement + b"\n")
    assert caught.value.reason.startswith("line 14: ")
    assert caught.value.hint


@pytest.mark.parametrize(
    "statement",
    [
        b"GRANT ALL ON t TO PUBLIC", b"REVOKE ALL ON SCHEMA public FROM PUBLIC",
        b"ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON TABLES TO x", b"ALTER TABLE public.t OWNER TO owner",
        b'ALTER FUNCTION public.f(a integer, b "x, y") OWNER TO "O; w""n"', b"ALTER LARGE OBJECT 4242 OWNER TO owner",
        b"CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA ext", b"COMMENT ON EXTENSION hstore IS 'x'",
        b"CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()", b"CREATE PUBLICATION p FOR ALL TABLES",
        b"CREATE SUBSCRIPTION s CONNECTION 'host=evil' PUBLICATION p", b"SET transaction_timeout = 0",
        b"SET default_tablespace = fast", b"CREATE SCHEMA public", b"DROP SCHEMA IF EXISTS public",
        b"SET SESSION AUTHORIZATION 'owner'", b"COMMENT ON DATABASE app IS 'x'", b"SECURITY LABEL ON TABLE t IS 'x'",
    ],
)  # fmt: skip
def test_what_is_others_to_see_to_is_left_out(statement: bytes) -> None:
    assert verdicts(statement + b";\n") == [(rules.LEAVE, statement)]


@pytest.mark.parametrize(
    "statement",
    [
        b"CREATE TABLE public.t (transaction_timeout int)", b"CREATE SCHEMA public2", b'CREATE SCHEMA "Public"',
        b"ALTER TABLE t ADD COLUMN o int, OWNER TO owner", b"ALTER TABLE t ADD CONSTRAINT c CHECK (true)",
        b"CREATE USER MAPPING FOR PUBLIC SERVER s", b"INSERT INTO t VALUES ('ALTER SYSTEM', E'\\'; DROP DATABASE app')",
        b"CREATE FUNCTION c() RETURNS int LANGUAGE sql AS 'SELECT 1'", b"CREATE VIEW v AS SELECT 'LANGUAGE c' AS c",
        b'CREATE TABLE "drop database" (a int)', b"SET client_encoding = 'LATIN1'", b"BEGIN", b"COMMIT",
        b"SELECT pg_catalog.setval('public.s', 1, true)", b"DROP TABLE t", b"REFRESH MATERIALIZED VIEW public.v",
        b'CREATE TRIGGER language AFTER INSERT ON c EXECUTE FUNCTION "c"()',
    ],
)  # fmt: skip
def test_what_a_dump_is_made_of_is_run(statement: bytes) -> None:
    assert verdicts(statement + b";\n") == [(rules.RUN, statement)]


def test_a_line_of_data_is_data_whatever_it_looks_like() -> None:
    data = b"SET transaction_timeout = 0;\n\\connect x\n-- PostgreSQL database dump complete\nDROP DATABASE app;\n"
    about, found = read(
        HEAD + b'COPY public."T t" (a, b) FROM stdin;\n' + data.replace(b"\\", b"\\\\") + b"\\.\n" + TAIL
    )
    assert found == [(rules.COPY, b'COPY public."T t" (a, b) FROM stdin')]
    assert about.rows == 4
    assert not about.left_out


@pytest.mark.parametrize("how", ["copy", "insert", "columns"])
def test_it_tells_what_it_is_of_and_what_it_needs(how: str) -> None:
    revision = {
        "copy": b"COPY public.alembic_version (version_num) FROM stdin;\n3fa9\n\\.\n",
        "insert": b"INSERT INTO public.alembic_version VALUES ('3fa9');\n",
        "columns": b"INSERT INTO public.alembic_version (version_num) VALUES\n\t('3fa9');\n",
    }[how]
    about, _ = read(
        HEAD + b"CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA ext;\nCREATE EXTENSION citext;\n"
        b"-- Name: t; Type: TABLE; Schema: public; Owner: some; body\n--\n\nCREATE TABLE public.t (a int);\n"
        b"CREATE UNLOGGED TABLE public.u (a int);\nALTER TABLE public.t OWNER TO someone;\n" + revision + TAIL
    )
    assert about.extensions == {"hstore": "ext", "citext": ""}
    assert about.owners == {"some; body", "someone"}
    assert (about.server_version, about.dump_version) == ("17.11", "17.12")
    assert (about.tables, about.rows, about.heads) == (2, 1, ["3fa9"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEAD, "no .PostgreSQL database dump complete. at its end"),
        (HEAD + TAIL + b"SELECT 1;\n", "no .PostgreSQL database dump complete. at its end"),
        (HEAD + b"SELECT '" + TAIL, "inside a string"),
        (HEAD + b"/*" + TAIL, "inside a comment"),
        (HEAD + b"COPY t FROM stdin;\n" + TAIL, "inside the data of COPY, which begin in line 14"),
        (b"hello", "inside the statement"),
        (b"--\n-- PostgreSQL database cluster dump\n--\n", "pg_dumpall"),
        (HEAD + b"\\connect app\n" + TAIL, "connect is a command for psql"),
    ],
)
def test_a_dump_that_is_not_whole_or_not_of_one_database_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(RefusalError, match=words):
        read(content)


def test_a_schema_that_is_there_is_not_made_again() -> None:
    dump = HEAD + b"CREATE SCHEMA ext;\nCREATE SCHEMA own;\n" + TAIL
    _, found = read(dump, frozenset({"public", "ext"}))
    assert found == [(rules.LEAVE, b"CREATE SCHEMA ext"), (rules.RUN, b"CREATE SCHEMA own")]
