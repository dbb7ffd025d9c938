"""A run against PostgreSQL: what it makes of data that hurts, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.backup.conftest import PASSWORD, running
from tests.conftest import until


def test_data_that_hurts_is_dumped_restored_and_equal(on: Any, painful: str) -> None:
    desk = on(painful)
    done = desk.run("run")
    assert done.status == 0, done.text
    (item,) = desk.listed()
    assert (item["good"], item["state"], item["level"]) == (True, "restored", "restored")
    about = json.loads(desk.run("show", "latest").text)["manifest"]
    rows = {table["name"]: table["rows"] for table in about["contents"]["tables"]}
    assert rows['"public"."huge"'] == 1
    assert rows['"public"."child"'] == 50
    assert rows['"public"."parent"'] == 1, "a parent's rows are its own"
    assert rows['"public"."notes"'] == 2, "row-level security hides none"
    assert rows['"public"."nothing"'] == 2
    assert about["contents"]["large_objects"] == 3
    assert {"hstore", "citext", "postgres_fdw"} <= set(about["contents"]["extensions"])
    assert any("EVENT TRIGGER" in entry for entry in about["verify"]["left_out"]), "what is not proven is told"
    folder = desk.folder / done.made
    assert (folder / "database.dump").read_bytes()[:5] == b"PGDMP"
    assert (folder / "database.dump").stat().st_mode & 0o077 in (0, 0o040), "not for others"
    text = (folder / "globals.sql").read_text()
    assert 'CREATE ROLE "Odd; Röle"' in text
    assert "SCRAM-SHA-256" not in text
    assert [path.name for path in (desk.stage.root / "work" / desk.folder.name).iterdir()] == []


def test_a_database_in_latin_1_with_an_odd_name_is_proven_in_latin_1(on: Any, latin: str) -> None:
    desk = on(latin)
    made = desk.make()
    about = json.loads(desk.run("show", made).text)["manifest"]
    assert (about["database"], about["server"]["encoding"]) == (latin, "LATIN1")
    (table,) = about["contents"]["tables"]
    assert (table["name"], table["rows"]) == ('"public"."umlaute"', 200)


def test_the_hash_is_that_of_the_values_whatever_their_order_and_the_roles_settings(desk: Any) -> None:
    first = json.loads(desk.run("show", desk.make()).text)["manifest"]["contents"]
    desk.stage.sql(
        "CREATE TABLE u AS SELECT * FROM t ORDER BY word DESC; DROP TABLE t; ALTER TABLE u RENAME TO t", "small"
    )
    second = json.loads(desk.run("show", desk.make()).text)["manifest"]["contents"]
    assert first["tables"] == second["tables"]
    desk.stage.sql("UPDATE t SET word = upper(word) WHERE i = 77", "small")
    third = json.loads(desk.run("show", desk.make()).text)["manifest"]["contents"]
    desk.stage.sql("UPDATE t SET word = lower(word) WHERE i = 77", "small")
    assert third["tables"][0]["rows"] == first["tables"][0]["rows"]
    assert third["tables"][0]["hash"] != first["tables"][0]["hash"]


def test_what_is_written_during_a_run_is_in_none_of_it(desk: Any) -> None:
    writer = ["docker", "exec", desk.stage.database.name, "psql", "-XqAt", "-d", "small", "-c"]
    desk.stage.sql("CREATE TABLE busy (i bigserial)", "small")
    loop = "DO $$ BEGIN LOOP INSERT INTO busy DEFAULT VALUES; COMMIT; PERFORM pg_sleep(0.001); END LOOP; END $$"
    with subprocess.Popen([*writer, loop], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            desk.make()
        finally:
            desk.stage.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %busy%'", "postgres"
            )
            process.wait(30)
            desk.stage.sql("DROP TABLE busy", "small")


def test_without_a_url_it_says_so_at_once(desk: Any) -> None:
    done = desk.run("run", DATABASE_URL_FILE="")
    assert done.status == 1
    assert done.errors.startswith("No database URI found")
    assert desk.names() == []


def test_without_a_signing_key_it_tells_how_to_make_one(desk: Any) -> None:
    done = desk.run("run", BACKUP_SIGNING_KEY_FILE="")
    assert (done.status, "openssl genpkey -algorithm ed25519" in done.errors) == (1, True)


def test_the_fallback_setting_and_libpqs_form_lead_to_the_same_database(desk: Any) -> None:
    url = desk.stage.url("small").replace("postgresql+psycopg", "postgres")
    assert desk.run("run", DATABASE_URL_FILE="", SQLALCHEMY_DATABASE_URI=url).status == 0


def test_a_role_that_cannot_read_everything_is_refused_with_all_that_it_cannot_read(on: Any, stage: Any) -> None:
    stage.make_database(
        "closed",
        """CREATE TABLE open (i int); CREATE TABLE "shut; --" (i int); CREATE SEQUENCE hidden;
        CREATE TABLE filtered (i int); ALTER TABLE filtered ENABLE ROW LEVEL SECURITY;
        CREATE ROLE weak LOGIN PASSWORD 'weak'; GRANT SELECT ON open, filtered TO weak;
        SELECT lo_from_bytea(77, 'x');""",
    )
    desk = on("closed")
    done = desk.run("run", DATABASE_URL_FILE="", DATABASE_URL=stage.url("closed", "weak", "weak"))
    assert done.status == 1
    for words in ('"shut; --"', '"hidden"', '"filtered" (row-level security)', "large object 77", "pg_read_all_data"):
        assert words in done.errors
    assert '"open"' not in done.errors
    assert desk.names() == []


def test_an_extension_that_the_throwaway_server_lacks_is_refused_by_name(on: Any, stage: Any) -> None:
    stage.make_database("extended", "")
    # As another machine's package would: the database has it, and the tools here know nothing of it.
    stage.sql(
        "CREATE EXTENSION pgrowlocks; UPDATE pg_extension SET extname = 'vector' WHERE extname = 'pgrowlocks'",
        "extended",
    )
    desk = on("extended")
    done = desk.run("run")
    assert done.status == 1
    assert "has the extension vector, which the PostgreSQL 17" in done.errors
    assert desk.names() == []


@pytest.mark.slow
def test_a_row_that_the_server_cannot_write_out_fails_the_run_and_names_the_table(on: Any, stage: Any) -> None:
    stage.make_database(
        "wide",
        """CREATE TABLE fine (i int);
        CREATE TABLE "too wide" AS SELECT repeat('x', 540000000) AS a, NULL AS b;
        UPDATE "too wide" SET b = repeat('y', 540000000);""",
    )
    try:
        desk = on("wide")
        done = desk.run("run")
        assert done.status == 1
        assert 'table "public"."too wide": a row is larger than the server can write out' in done.errors
        assert desk.names() == []
    finally:
        stage.sql("DROP DATABASE wide WITH (FORCE)", "postgres")


def test_a_failed_run_leaves_no_file_and_prunes_nothing(desk: Any, given: Any) -> None:
    kept = [given(), desk.make(BACKUP_KEEP_LAST="9")]
    wrong = desk.stage.url("small", password="wrong")
    done = desk.run("run", DATABASE_URL_FILE="", DATABASE_URL=wrong, BACKUP_KEEP_LAST="1", BACKUP_KEEP_MIN="1")
    assert (done.status, "password authentication failed" in done.errors) == (1, True)
    assert "wrong@" not in done.text
    assert desk.names() == kept
    assert json.loads((desk.folder / ".state.json").read_text())["failures_in_a_row"] == 1
    refused = desk.run("prune", BACKUP_KEEP_LAST="1", BACKUP_KEEP_MIN="1", BACKUP_KEEP_DAILY="0")
    assert (refused.status, "nothing is pruned after a failed run" in refused.errors) == (1, True)
    assert desk.names() == kept


@pytest.mark.slow
def test_ten_failing_runs_and_a_success_leave_the_good_ones_that_are_to_stay(desk: Any, given: Any) -> None:
    kept = [given(), *(desk.make(BACKUP_KEEP_LAST="9") for _ in range(2))]
    few = {"BACKUP_KEEP_LAST": "1", "BACKUP_KEEP_MIN": "3", "BACKUP_KEEP_DAILY": "1", "BACKUP_KEEP_WEEKLY": "0"}
    wrong = desk.stage.url("small", password="wrong")
    for _ in range(10):
        assert desk.run("run", **few, DATABASE_URL_FILE="", DATABASE_URL=wrong).status == 1
    assert desk.good() == kept[::-1]
    made = desk.make(**few, BACKUP_KEEP_MONTHLY="0")
    assert desk.good() == [made, kept[2], kept[1]]


def test_a_dump_that_fails_midway_fails_the_run(desk: Any) -> None:
    desk.stage.sql(
        "CREATE TABLE slow AS SELECT i, repeat(md5(i::text), 200) AS t FROM generate_series(1, 60000) i", "small"
    )
    try:
        command = desk.command("run")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            until(lambda: running("pg_dump", "--snapshot", desk.folder.name), "dump under way")
            victims = running("pg_dump", "--snapshot", desk.folder.name)
            os.kill(victims[0], signal.SIGKILL)
            text, _ = process.communicate(timeout=60)
        assert process.returncode == 1, text
        assert "pg_dump ended with signal 9" in text
        assert desk.names() == []
    finally:
        desk.stage.sql("DROP TABLE slow", "small")


def test_two_at_once_are_one_and_a_refusal(desk: Any) -> None:
    with subprocess.Popen(desk.command("run"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as first:
        until(lambda: any(name.endswith(".part") for name in desk.names()), "first run")
        second = desk.run("run")
        text, _ = first.communicate(timeout=120)
    assert first.returncode == 0, text
    assert (second.status, "another backup, verification or pruning is under way" in second.errors) == (1, True)


def test_no_secret_is_in_arguments_environment_or_output(on: Any, small: str, stage: Any) -> None:
    desk = on(small)
    seen: set[str] = set()
    with subprocess.Popen(desk.command("run"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None:
            for row in stage.docker("top", stage.name, "-eo", "pid,args").splitlines()[1:]:
                pid, _, arguments = row.strip().partition(" ")
                seen.add(arguments)
                try:
                    seen.add(Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue
        text = process.stdout.read() if process.stdout else ""
    assert process.returncode == 0, text
    seen.add(text)
    seen.add(stage.docker("inspect", stage.name))
    together = "\n".join(seen)
    assert "pg_dump" in together
    assert PASSWORD not in together
    assert "PRIVATE KEY" not in together
    assert not [line for line in seen if "--pwfile" not in line and "password=" in line.lower()]


@pytest.mark.parametrize("arguments", [("nothing",), (), ("run", "twice"), ("list", "--yaml"), ("show",), ("pin",)])
def test_what_it_does_not_know_is_refused_with_what_it_does(desk: Any, arguments: tuple[str, ...]) -> None:
    done = desk.run(*arguments)
    assert (done.status, "wanted" in done.text) == (2, True)
