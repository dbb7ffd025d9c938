"""Loads: what is in a database after a dump of it was loaded is what it was dumped from."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from restore import rules
from restore.script import Script
from tests.restore.depot import Depot

Loaded = tuple[str, dict[str, Any], dict[str, Any]]


@contextmanager
def loaded(depot: Depot, content: bytes, kind: str) -> Iterator[Loaded]:
    """Validate a dump and load it into a scratch database; lend its name and the two answers."""
    job = depot.job(content, kind)
    told = job.done("validate")
    name = depot.scratch(*((item["name"], item["schema"]) for item in told["extensions"]))
    try:
        yield name, told, job.done("load", database=name)
    finally:
        depot.drop(name)


def things(content: bytes) -> list[tuple[bytes, bytes]]:
    """What a plain dump makes, whoever owns it: its statements and their data, in an order of their own."""
    script = Script(io.BytesIO(content).read)
    found = [(step.statement.text, b"".join(step.data), step.verdict.action) for step in script.steps()]
    kept = [(text, data) for text, data, action in found if action != rules.LEAVE]
    assert len(kept) > 3
    return sorted(kept)


def plain(depot: Depot, database: str, *options: str) -> list[tuple[bytes, bytes]]:
    """What is in a database, by its dump; a child's columns have another order once they are restored."""
    return things(depot.dump(database, "--no-owner", "--no-acl", "--exclude-table=child", *options))


LESS = "--exclude-table=huge"
# Without their names the columns of a child have to have the order that they have not, as pg_dump warns.
NAMELESS = (LESS, "--exclude-table=child")


@pytest.mark.parametrize(
    ("options", "less"),
    [
        ([], [LESS]),
        (["--inserts"], NAMELESS),
        (["--column-inserts", "--rows-per-insert=7", "--clean"], [LESS]),
        pytest.param([], [], marks=pytest.mark.slow),
    ],
)
def test_a_plain_dump_of_data_that_hurts_is_loaded_and_dumps_the_same(
    depot: Depot, painful: str, options: list[str], less: list[str]
) -> None:
    content = depot.dump(painful, *options, *less)
    with loaded(depot, content, "sql") as (name, told, answer):
        assert plain(depot, name, *less) == plain(depot, painful, *less)
        assert told["bytes"] == len(content)
        assert told["rows"] == answer["rows"]
        assert {"name": "hstore", "schema": "ext"} in told["extensions"]
        assert {"owner", "postgres"} <= set(told["owners"])
        assert told["server_version"].startswith("17.")
        assert told["dump_version"].startswith("17.")
        kinds = {item.partition(":")[0] for item in answer["ignored"]}
        assert {"event trigger", "publication", "grant", "owner", "extension"} <= kinds


@pytest.mark.parametrize("kind", ["dump", pytest.param("dump.gz", marks=pytest.mark.slow)])
def test_a_dump_in_the_custom_format_is_loaded_and_inspected_by_a_role_that_owns_nothing_else(
    depot: Depot, painful: str, kind: str
) -> None:
    content = depot.dump(painful, "--format=custom", "--compress=zstd:1")
    with loaded(depot, gzip.compress(content, 1) if kind == "dump.gz" else content, kind) as (name, told, answer):
        assert plain(depot, name) == plain(depot, painful)
        assert told["archive_version"].startswith("1.16")
        assert answer["ignored"] == ["EVENT TRIGGER: 1", "PUBLICATION -: 1"]
        job = depot.job(b"", "dump")
        found = job.done("inspect", database=name, smoke="SELECT count(*) = 2 FROM notes")
        rows = {table["name"]: table["rows"] for table in found["tables"]}
        assert rows['"public"."notes"'] == 2, "a policy that holds for the owner too hides none of it"
        assert rows['"public"."huge"'] == 1
        assert found["rows"] == sum(rows.values()) == told["rows"]
        assert found["large_objects"] == 3
        assert found["unvalidated"] == ["public.notes: later"]
        forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'notes'"
        assert depot.run(forced, name) == "t", "what was done to look is taken back"
        for smoke in (
            "SELECT count(*) = 3 FROM notes",
            "SELECT 1/0",
            "DELETE FROM notes",
            "SELEC",
            "SELECT 1; SELECT 2",
        ):
            refused = job.ask("inspect", database=name, smoke=smoke)
            assert (refused["ok"], refused["reason"][:18]) == (False, "RESTORE_SMOKE_SQL ")


def test_text_and_the_custom_format_come_to_the_same_database(depot: Depot, painful: str) -> None:
    found = []
    for kind, options in (("sql.gz", []), ("dump", ["--format=custom"])):
        content = depot.dump(painful, LESS, *options)
        with loaded(depot, gzip.compress(content) if kind == "sql.gz" else content, kind) as (name, _, _):
            answer = depot.job(b"", "sql").done("inspect", database=name)
            found.append({key: answer[key] for key in ("tables", "sequences", "objects", "large_objects_hash")})
    assert found[0] == found[1]


@pytest.fixture
def small(depot: Depot) -> Iterator[Callable[[str], str]]:
    """Makes databases of the owner's by their statements."""
    made: list[str] = []

    def make(statements: str, options: str = "") -> str:
        name = f"small_{len(made)}"
        depot.run(f"CREATE DATABASE {name} OWNER owner TEMPLATE template0 {options}")
        made.append(name)
        depot.run(statements, name)
        return name

    yield make
    for name in made:
        depot.drop(name)


BODIES = """
CREATE TABLE t (id int PRIMARY KEY, word text DEFAULT E'a\\\\b;');
INSERT INTO t SELECT i, CASE i % 3 WHEN 0 THEN NULL ELSE E'w\\\\;''\\t' || i END FROM generate_series(1, 50) i;
CREATE FUNCTION atomic(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC
    SELECT CASE WHEN a > 1 THEN 2 ELSE (SELECT CASE a WHEN 1 THEN 3 END) END; SELECT count(*)::int FROM t;
END;
CREATE PROCEDURE twice() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (-1, 'end;'); DELETE FROM t WHERE id = -1; END;
CREATE FUNCTION quoted() RETURNS text LANGUAGE plpgsql AS $_$ BEGIN RETURN $$;$$ || '$x$;' || E'\\';'; END $_$;
CREATE RULE ruled AS ON UPDATE TO t WHERE old.id = 0 DO ALSO (SELECT 1; SELECT 2;);
CREATE VIEW "select; --" AS SELECT id, '/* ; */' AS "end", $$--$$ AS "begin" FROM t;
CREATE SCHEMA other; CREATE TABLE other.alembic_version (v text); INSERT INTO other.alembic_version VALUES ('x');
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); INSERT INTO alembic_version VALUES ('4f2a9c');
COMMENT ON FUNCTION atomic IS 'BEGIN ATOMIC ; END;';
SELECT lo_from_bytea(0, 'large; object');
"""


@pytest.mark.parametrize("options", [[], ["--inserts"], ["--format=custom"]])
def test_functions_rules_and_views_with_semicolons_come_through(
    depot: Depot, small: Callable[[str], str], options: list[str]
) -> None:
    name = small(BODIES)
    content = depot.dump(name, *options)
    with loaded(depot, content, "dump" if "--format=custom" in options else "sql") as (made, told, _):
        assert plain(depot, made) == plain(depot, name)
        assert told["head"] == "4f2a9c,x", "whichever schema it is in"
        answer = depot.job(b"", "sql").done("inspect", database=made)
        assert answer["head"] == "4f2a9c"


def test_a_database_in_latin_1_is_loaded_from_its_own_encoding(depot: Depot, small: Callable[..., str]) -> None:
    umlauts = "CREATE TABLE umlaute (id int, \"größe\" text); INSERT INTO umlaute VALUES (1, 'äöüß¿');"
    name = small(f"SET client_encoding = 'UTF8'; {umlauts}", "ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'")
    content = depot.dump(name)
    assert "größe".encode("latin-1") in content
    with loaded(depot, content, "sql") as (made, _, _):
        assert plain(depot, made, "--encoding=UTF8") == plain(depot, name, "--encoding=UTF8")


def test_a_public_schema_in_the_dump_is_the_one_that_is_there(depot: Depot, small: Callable[[str], str]) -> None:
    name = small("DROP SCHEMA public; CREATE SCHEMA public; CREATE TABLE public.t AS SELECT 1 AS i;")
    for options, kind in (([], "sql"), (["--clean"], "sql"), (["--format=custom"], "dump")):
        content = depot.dump(name, *options)
        if kind == "sql":
            # As older ones write it.
            gone = b"DROP SCHEMA public;\n" if options else b""
            content = content.replace(b"CREATE TABLE", gone + b"CREATE SCHEMA public;\nCREATE TABLE", 1)
        with loaded(depot, content, kind) as (made, _, _):
            assert depot.run("SELECT i FROM public.t", made) == "1"


def test_owners_that_do_not_exist_are_told_and_their_things_are_loaded(
    depot: Depot, small: Callable[[str], str]
) -> None:
    depot.run('CREATE ROLE "gone; Röle"')
    name = small(
        'GRANT CREATE ON SCHEMA public TO "gone; Röle"; SET ROLE "gone; Röle"; CREATE TABLE t AS SELECT 1 AS i;'
        "GRANT SELECT ON t TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;"
    )
    contents = [(depot.dump(name), "sql"), (depot.dump(name, "--format=custom"), "dump")]
    depot.drop(name)
    depot.run(f"CREATE DATABASE {name}")
    depot.run('DROP ROLE "gone; Röle"')
    for content, kind in contents:
        with loaded(depot, content, kind) as (made, told, answer):
            assert "gone; Röle" in told["owners"]
            assert told["left_out"]["grant"] >= 2
            assert depot.run("SELECT tableowner FROM pg_tables WHERE tablename = 't'", made) == "restore_loader"
            assert kind == "dump" or f"grant: {told['left_out']['grant']}" in answer["ignored"]
