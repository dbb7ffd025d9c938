# ruff: noqa: S608 - the tests' own words
"""Files that were made to do harm: what they hold is refused, or runs where it reaches nothing but its own database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backup import sql
from tests.database.conftest import PASSWORDS
from tests.restore.depot import PASSWORD, Depot
from tests.restore.test_script import HEAD, TAIL

# Each in a block of its own; what it came to is written down beside it.
ATTEMPTS = (
    "COPY witness FROM PROGRAM 'touch /tmp/harm'",
    "COPY witness TO PROGRAM 'cat > /tmp/harm'",
    "COPY witness FROM '/etc/passwd'",
    "COPY witness TO '/tmp/harm'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(lo_create(0), '/tmp/harm')",
    "CREATE FUNCTION harm(text) RETURNS int LANGUAGE c AS 'libc.so.6', 'system'",
    "CREATE FUNCTION harm(text) RETURNS int LANGUAGE internal AS 'int4in'",
    "LOAD '$libdir/passwordcheck'",
    "CREATE ROLE harm SUPERUSER",
    "ALTER ROLE owner SUPERUSER",
    "ALTER ROLE restore_loader SUPERUSER",
    "ALTER ROLE restore_loader CREATEDB",
    "ALTER ROLE restore_loader BYPASSRLS",
    "ALTER ROLE restore_admin PASSWORD 'harm'",
    "GRANT owner TO restore_loader",
    "GRANT pg_execute_server_program TO restore_loader",
    "SET ROLE owner",
    "SET ROLE restore_admin",
    "SET SESSION AUTHORIZATION owner",
    "ALTER DATABASE scaffold RENAME TO harm",
    "ALTER DATABASE scaffold ALLOW_CONNECTIONS false",
    "ALTER DATABASE scaffold SET default_transaction_read_only = on",
    "GRANT CONNECT ON DATABASE scaffold TO restore_loader",
    "COMMENT ON DATABASE scaffold IS 'harm'",
    "CREATE SUBSCRIPTION harm CONNECTION 'host=192.0.2.1' PUBLICATION harm WITH (connect = false)",
    "CREATE EVENT TRIGGER harm ON ddl_command_end EXECUTE FUNCTION harm()",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION postgres_fdw",
    "CREATE EXTENSION file_fdw",
    "CREATE EXTENSION pageinspect",
    "CREATE LANGUAGE plperlu",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> session_user OR usename IS NULL",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename <> session_user OR usename IS NULL",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_logical_replication_slot('harm', 'pgoutput')",
    "SELECT rolpassword FROM pg_authid",
    "UPDATE pg_database SET datallowconn = false",
    "DELETE FROM pg_class",
    "LOCK TABLE pg_authid",
    "LOCK TABLE pg_database IN ACCESS EXCLUSIVE MODE",
    "SELECT set_config('log_statement', 'none', false)",
    "SET session_preload_libraries = 'harm'",
)
# What a role may do to itself, and nobody can take from it.
ITSELF = (
    "ALTER ROLE restore_loader PASSWORD 'harm'",
    "ALTER ROLE restore_loader SET search_path = harm",
    "ALTER ROLE restore_loader SET statement_timeout = 1",
)


def evil(name: str) -> bytes:
    """A function that tries everything there is, once, and writes down what came of it."""
    tries = "\n".join(
        f"BEGIN EXECUTE {sql.string(attempt)}; said := 'done'; EXCEPTION WHEN OTHERS THEN said := SQLSTATE; END;"
        f" INSERT INTO public.witness VALUES ({sql.string(attempt)}, said, who);"
        for attempt in ATTEMPTS
    )
    itself = "\n".join(
        f"BEGIN EXECUTE {sql.string(attempt)}; EXCEPTION WHEN OTHERS THEN NULL; END;" for attempt in ITSELF
    )
    return f"""CREATE FUNCTION public.{name}() RETURNS boolean LANGUAGE plpgsql AS $evil$
DECLARE said text; who text := '{name}';
BEGIN
    IF EXISTS (SELECT FROM public.witness w WHERE w.who = '{name}') THEN RETURN true; END IF;
    {tries}
    {itself}
    RETURN true;
EXCEPTION WHEN read_only_sql_transaction OR insufficient_privilege OR undefined_table THEN RETURN true;
END $evil$;
""".encode()


WAYS = b"""
CREATE TABLE public.witness (attempt text, said text, who text);
CREATE TYPE public.word AS (a text);
CREATE FUNCTION public.word_text(public.word) RETURNS text LANGUAGE sql AS 'SELECT public.in_cast()::text';
CREATE CAST (public.word AS text) WITH FUNCTION public.word_text(public.word) AS IMPLICIT;
CREATE FUNCTION public.checked(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT public.in_index()';
CREATE FUNCTION public.triggered() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM public.in_trigger(); RETURN NEW; END $$;
CREATE DOMAIN public.number AS int CHECK (public.in_domain());
CREATE TABLE public.notes (id int, w public.word, n public.number, g int);
CREATE VIEW public.alembic_version AS SELECT public.in_view()::text AS version_num;
CREATE TRIGGER t BEFORE INSERT ON public.notes FOR EACH ROW EXECUTE FUNCTION public.triggered();
CREATE RULE r AS ON INSERT TO public.notes DO ALSO SELECT public.in_rule();
COPY public.notes (id, w, n) FROM stdin;
1\t(a)\t1
2\t(b)\t2
\\.
CREATE INDEX i ON public.notes ((public.checked(id)));
SELECT w::text FROM public.notes;
CREATE MATERIALIZED VIEW public.m AS SELECT public.in_matview() AS x;
CREATE FUNCTION public.definer() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS 'SELECT public.in_definer()';
SELECT public.definer();
INSERT INTO public.notes (id) VALUES (3);
DO $$ BEGIN PERFORM public.in_do(); END $$;
ALTER TABLE public.notes ADD CONSTRAINT c CHECK (public.in_check());
ANALYZE public.notes;
"""
FUNCTIONS = [
    "in_cast", "in_index", "in_trigger", "in_domain", "in_view", "in_rule", "in_matview", "in_definer", "in_do",
    "in_check",
]  # fmt: skip


DENIED = ("permission denied", "not allowed", "must be owner", "cannot run inside", "cannot be executed")


@pytest.fixture
def live(depot: Depot) -> Iterator[str]:
    """The fingerprint of everything that a dump has no business with."""
    question = (
        "SELECT md5(string_agg(r::text, ';' ORDER BY r::text)) FROM pg_authid r WHERE rolname <> 'restore_loader'; "
        "SELECT md5(string_agg((rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolcanlogin)::text, ';')) FROM "
        "pg_authid WHERE rolname = 'restore_loader'; "
        "SELECT md5(string_agg(m::text, ';' ORDER BY m::text)) FROM pg_auth_members m; "
        "SELECT md5(string_agg(d.datname || d.oid || d.datallowconn || coalesce(d.datacl::text, '') || d.datdba, ';' "
        "ORDER BY d.oid)) FROM pg_database d WHERE datname !~ '__r_'; "
        "SELECT count(*) FROM pg_db_role_setting; SELECT count(*) FROM pg_subscription; "
        "SELECT count(*) FROM pg_replication_slots; SELECT count(*) FROM pg_prepared_xacts; "
        "SELECT md5(string_agg(n::text || i, ';' ORDER BY i)) FROM kept.things t(i, n)"
    )
    depot.run(
        "CREATE SCHEMA kept; CREATE TABLE kept.things AS SELECT i, i * 2 FROM generate_series(1, 99) i", "scaffold"
    )
    before = depot.run(question, "scaffold")
    yield before
    assert depot.run(question, "scaffold") == before
    files = depot.docker("exec", depot.database.name, "sh", "-c", "ls -A /tmp")
    assert "harm" not in files
    assert "harm" not in depot.docker("exec", depot.name, "ls", "-A", "/tmp")
    depot.run("DROP SCHEMA kept CASCADE", "scaffold")


def test_whatever_runs_by_a_cast_a_view_a_trigger_or_an_index_reaches_nothing(depot: Depot, live: str) -> None:
    bodies = b"".join(evil(name) for name in FUNCTIONS)
    name = depot.scratch()
    bystander = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'owner'"
    depot.docker(
        "exec", "-d", "-e", f"PGPASSWORD={PASSWORDS['owner']}", depot.database.name, "psql", "-h", "127.0.0.1",
        "-U", "owner", "-d", "scaffold", "-c", "SELECT pg_sleep(600)",
    )  # fmt: skip
    try:
        job = depot.job(HEAD + b"SET check_function_bodies = false;\n" + bodies + WAYS + TAIL, "sql")
        job.done("validate")
        job.done("load", database=name)
        job.done("inspect", database=name, smoke="SELECT w::text FROM notes")
        rows = [row.split("|") for row in depot.run("SELECT who, said, attempt FROM witness", name).splitlines()]
        done = [row for row in rows if row[1] == "done"]
        assert not done, f"what a dump's code could do: {done}"
        ran = {row[0] for row in rows}
        assert {"in_trigger", "in_domain", "in_rule", "in_definer", "in_do", "in_check", "in_cast"} <= ran
        assert {row[2] for row in rows} == set(ATTEMPTS), "everything was tried"
        assert depot.run(bystander) == "1", "others' sessions live on"
        log = depot.log()
        assert "password of the loader's role: it is set back" in log
        assert "settings of the loader's role: they are set back" in log
        assert "harm" not in log
        # It can still sign in.
        job.done("inspect", database=name)
    finally:
        depot.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'owner'")
        depot.drop(name)


@pytest.mark.parametrize(
    "statement",
    [
        b"SELECT 1; \\! touch /tmp/harm\n", b"\\unrestrict `touch /tmp/harm`\n",
        b"COPY t FROM PROGRAM 'touch /tmp/harm';\n", b"DROP DATABASE scaffold;\n",
        b"ALTER SYSTEM SET archive_command = 'touch /tmp/harm';\n",
        b"COPY t FROM stdin;\n\\.\n\\copy t from program 'touch /tmp/harm'\n",
    ],
)  # fmt: skip
def test_a_file_with_commands_is_refused_and_loaded_by_no_way_round(depot: Depot, live: str, statement: bytes) -> None:
    job = depot.job(HEAD + b"CREATE TABLE t (a text);\n" + statement + TAIL, "sql")
    answer = job.ask("validate")
    assert (answer["ok"], answer["transient"]) == (False, False)
    assert answer["reason"].startswith("line 1")
    assert answer["hint"]
    name = depot.scratch()
    try:
        assert job.ask("load", database=name)["reason"] == answer["reason"], "a load looks for itself"
    finally:
        depot.drop(name)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DROP DATABASE scaffold", "DROP DATABASE"),
        ("ALTER SYSTEM SET port = 1", "ALTER SYSTEM"),
        ("COPY t TO PROGRAM 'touch /tmp/harm'", "COPY that is not FROM stdin"),
        ("ALTER ROLE owner SUPERUSER", "ALTER ROLE"),
        ("SELECT 1; ALTER ROLE owner SUPERUSER", "ALTER ROLE"),
    ],
)
def test_an_archive_with_another_statement_inside_is_refused_and_denied(
    depot: Depot, live: str, statement: str, words: str
) -> None:
    room = 80
    depot.run("CREATE DATABASE carrier OWNER owner")
    try:
        depot.run(f"CREATE TABLE t (a text); COMMENT ON TABLE t IS '{'x' * room}'", "carrier")
        content = depot.dump("carrier", "--format=custom")
    finally:
        depot.drop("carrier")
    harmless = f"COMMENT ON TABLE public.t IS '{'x' * room}';"
    assert content.count(harmless.encode()) == 1
    content = content.replace(harmless.encode(), f"{statement};".ljust(len(harmless)).encode())
    job = depot.job(content, "dump")
    answer = job.ask("validate")
    assert not answer["ok"]
    assert words in answer["reason"]
    name = depot.scratch()
    try:
        denied = job.ask("load", database=name)
        assert not denied["ok"]
        assert any(words in denied["reason"] for words in DENIED), denied
    finally:
        depot.drop(name)


def test_text_that_the_server_would_read_in_another_way_ends_the_load(depot: Depot, live: str) -> None:
    name = depot.scratch()
    try:
        for setting, value in (("standard_conforming_strings", "off"), ("client_encoding", "SJIS")):
            trick = f"SELECT pg_catalog.set_config('{setting}', '{value}', false);\nCREATE TABLE after (a int);\n"
            job = depot.job(HEAD + trick.encode() + TAIL, "sql")
            job.done("validate")
            answer = job.ask("load", database=name)
            assert not answer["ok"]
            assert setting.rpartition("_")[0].split("_")[0] in answer["reason"] or value in answer["reason"]
            assert depot.run("SELECT to_regclass('public.after') IS NULL", name) == "t"
    finally:
        depot.drop(name)


def test_the_loader_gets_into_no_other_database(depot: Depot) -> None:
    for database in ("postgres", "scaffold", "template1"):
        answer = depot.job(b"", "sql").ask("inspect", database=database)
        assert not answer["ok"]
        assert "permission denied for database" in answer["reason"]
    for database in (
        "host=192.0.2.1",
        "postgres://192.0.2.1/x",
        "scaffold' host='192.0.2.1",
        "; DROP DATABASE scaffold",
    ):
        answer = depot.job(b"", "sql").ask("inspect", database=database)
        assert "does not exist" in answer["reason"], answer


def test_the_loader_has_no_secret_where_others_look(depot: Depot) -> None:
    arguments = " ".join(line for _, line in depot.processes())
    inspected = depot.docker("inspect", depot.name)
    for text in (arguments, inspected, depot.log()):
        assert PASSWORD not in text
        assert "ss:word" not in text
