"""The ledger in the database: written by the jobs of releases that come, fail, are killed and go back; read by all."""

# ruff: noqa: S608 - the names are the test's own

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.app.conftest import HEAD, PASSWORDS, Docker, Image, Postgres, Urls, later
from tests.conftest import until

TOLD = {
    "RELEASE": "a1",
    "RELEASE_DIGEST": "sha256:" + "ab12" * 16,
    "RELEASE_REVISION": "8a649ff0c1d2",
    "RELEASE_BY": "Ada Lovelace",
    "RELEASE_BUNDLE": "a0",
}
SLOW = {"9001": later("9001", HEAD, up="SELECT pg_sleep(120)")}
BROKEN = {"9001": later("9001", HEAD, up="SELECT 1/0")}


@pytest.fixture
def urls(postgres: Postgres) -> Urls:
    """An empty database."""
    return postgres.database()


def ledger(postgres: Postgres, urls: Urls, columns: str = "release, outcome") -> list[str]:
    """Return the ledger's rows, oldest first, as psql prints them."""
    return postgres.psql(urls.name, f"SELECT {columns} FROM releases ORDER BY id").splitlines()


def deploy(image: Image, urls: Urls, release: str) -> None:
    """Do what the jobs of a release do."""
    image.upgrade(urls, RELEASE=release)
    serve(image, urls, release)


def serve(image: Image, urls: Urls, release: str) -> dict[str, Any]:
    """Say that a release serves, and return what that printed last."""
    code, lines = image.run(urls.owner, "release", "served", RELEASE=release)
    assert code == 0, lines
    return lines[-1]


def test_the_first_migration_is_recorded_and_a_release_serves_until_the_next_one_does(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    image.upgrade(urls, **TOLD)
    values = "release, digest, revision, started_by, bundle, schema_before, schema_after, served_at, ended_at, outcome"
    told = "|".join(TOLD.values())
    assert ledger(postgres, urls, values) == [f"{told}||{HEAD}|||migrated"]
    assert serve(image, urls, "a1")["event"] == "the release serves"
    assert ledger(postgres, urls) == ["a1|serving"]
    moments = "started_at < served_at, ended_at IS NULL, now() - started_at < '5 minutes'"
    assert ledger(postgres, urls, moments) == ["t|t|t"]

    before = ledger(postgres, urls, "*")
    assert serve(image, urls, "a1")["event"] == "the release serves: nothing changed"
    image.upgrade(urls, RELEASE="a1")
    assert ledger(postgres, urls, "*") == before, "a job that is run once more changes nothing"

    image.upgrade(urls, RELEASE="b2")
    assert ledger(postgres, urls) == ["a1|serving", "b2|migrated"]
    deploy(image, urls, "c3")
    assert ledger(postgres, urls) == ["a1|replaced", "b2|not taken", "c3|serving"]
    assert ledger(postgres, urls, "ended_at IS NOT NULL") == ["t", "t", "f"]
    deploy(image, urls, "a1")
    assert ledger(postgres, urls) == ["a1|replaced", "b2|not taken", "c3|replaced", "a1|serving"]


def test_a_failed_migration_is_recorded_and_changes_nothing_else(image: Image, postgres: Postgres, urls: Urls) -> None:
    deploy(image, urls, "a1")
    code, _ = image.with_migrations(BROKEN).run(urls.owner, "db", "upgrade", RELEASE="b2")
    assert code == 1
    schema = "release, outcome, schema_before, schema_after, ended_at IS NULL"
    assert ledger(postgres, urls, schema) == [f"a1|serving||{HEAD}|t", f"b2|migration failed|{HEAD}|{HEAD}|f"]
    deploy(image.with_migrations({"9001": later("9001", HEAD)}), urls, "b2")
    assert ledger(postgres, urls)[1:] == ["b2|migration failed", "b2|serving"]


def test_a_killed_migration_leaves_an_open_row_that_the_next_one_closes(
    docker: Docker, image: Image, postgres: Postgres, urls: Urls
) -> None:
    image.upgrade(urls, RELEASE="a1")
    name = image.with_migrations(SLOW).flask(urls.owner, "db", "upgrade", RELEASE="b2")
    sleeping = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{urls.name}' AND query LIKE '%pg_sleep%'"
    until(lambda: postgres.psql("postgres", sleeping) == "1", "the slow step")
    docker("kill", name)
    assert ledger(postgres, urls) == ["a1|migrated", "b2|migrating"]
    until(lambda: postgres.psql("postgres", sleeping) == "0", "an end of what nobody waits for", 15)
    deploy(image, urls, "c3")
    assert ledger(postgres, urls) == ["a1|not taken", "b2|interrupted", "c3|serving"]
    assert ledger(postgres, urls, "schema_before, schema_after, ended_at IS NULL")[1] == f"{HEAD}|{HEAD}|f"


def test_the_apps_role_reads_the_records_and_may_not_write_them(image: Image, postgres: Postgres, urls: Urls) -> None:
    deploy(image, urls, "a1")
    with postgres.connect(urls.name, "app_a") as connection:
        for record in ("alembic_version", "schema_steps", "releases"):
            assert connection.execute(f"SELECT count(*) FROM {record}").fetchone() != (0,)
            for statement in (
                f"DELETE FROM {record}", f"INSERT INTO {record} SELECT * FROM {record}", f"TRUNCATE {record}",
            ):  # fmt: skip
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        for statement in (
            "UPDATE alembic_version SET version_num = '9'", "UPDATE schema_steps SET compatible = true",
            "UPDATE releases SET outcome = 'replaced'", "SELECT nextval('releases_id_seq')",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        connection.execute("INSERT INTO users (id, email) VALUES (gen_random_uuid(), 'ada@example.org')")


def test_rights_that_were_given_on_the_records_are_taken_back_whatever_the_roles_are_called(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    image.upgrade(urls)
    role = f'"Some one {urls.name}"'
    postgres.psql(urls.name, f"CREATE ROLE {role}; GRANT ALL ON releases, alembic_version TO {role}, PUBLIC, app")
    try:
        image.upgrade(urls)
        held = "SELECT DISTINCT privilege_type FROM information_schema.role_table_grants WHERE table_name IN "
        held += "('releases', 'alembic_version', 'schema_steps') AND grantee <> 'owner'"
        assert postgres.psql(urls.name, held) == "SELECT"
    finally:
        postgres.psql(urls.name, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_the_web_containers_own_role_lists_the_ledger_and_may_not_say_who_serves(
    docker: Docker, image: Image, urls: Urls
) -> None:
    image.upgrade(urls, **TOLD)
    deploy(image, urls, "b2")
    web = image.web(urls)
    flask = ("exec", web.name, "flask", "--app", "scaffold:create_app", "release")
    shown = [line.split("  ") for line in docker(*flask, "list").splitlines()]
    assert [cell.strip() for cell in shown[0] if cell] == ["RELEASE", "OUTCOME", "STARTED (UTC)", "SERVED", "SCHEMA",
                                                           "REVISION", "BY", "PINNED"]  # fmt: skip
    assert [line[0] for line in shown[1:]] == ["b2     ", "a1     "] or [line[0] for line in shown[1:]] == ["b2", "a1"]
    newest, oldest = json.loads(docker(*flask, "list", "--json"))
    assert (newest["release"], newest["outcome"], newest["digest"]) == ("b2", "serving", None)
    assert (oldest["digest"], oldest["outcome"]) == (TOLD["RELEASE_DIGEST"], "not taken")
    assert oldest["started_at"].endswith("Z")
    assert len(json.loads(docker(*flask, "list", "--json", "--limit", "1"))) == 1
    with pytest.raises(AssertionError, match="docker exec"):
        docker(*flask, "served")
    code, lines = image.run(urls.app, "release", "served", RELEASE="c3")
    assert code == 1
    assert lines[-1]["event"] == (
        'Error: role "app_a" may only read the ledger: run this with the URL of the schema\'s owner'
    )
    code, lines = image.run(urls.owner, "release", "served")
    assert (code, lines[-1]["event"]) == (
        1, "Error: RELEASE: got nothing; wanted the id of the release that serves",
    )  # fmt: skip


def test_a_schema_without_a_ledger_is_no_error(image: Image, postgres: Postgres, urls: Urls) -> None:
    deploy(image, urls, "a1")
    code, lines = image.run(urls.owner, "db", "downgrade", "0001", RELEASE="a1")
    assert code == 0, lines
    assert postgres.psql(urls.name, "SELECT to_regclass('releases') IS NULL") == "t"
    assert serve(image, urls, "a1")["event"].startswith("not recorded: the schema has no ledger")
    shown = image.ran(urls.app, "release", "list")
    assert shown.returncode == 0
    assert shown.stdout.startswith("The schema has no ledger: `flask db upgrade`")
    deploy(image, urls, "b2")
    assert ledger(postgres, urls, "release, outcome, schema_before, schema_after") == [f"b2|serving|0001|{HEAD}"]


def test_a_downgrade_has_a_row_of_its_own(image: Image, postgres: Postgres, urls: Urls) -> None:
    migrations = {"9001": later("9001", HEAD, compatible="False", up="CREATE TABLE more (id int)",
                                down="DROP TABLE more")}  # fmt: skip
    deploy(image, urls, "a1")
    deploy(image.with_migrations(migrations), urls, "b2")
    assert image.with_migrations(migrations).run(urls.owner, "db", "downgrade", HEAD, RELEASE="b2")[0] == 0
    deploy(image, urls, "a1")
    assert ledger(postgres, urls, "release, outcome, schema_before, schema_after") == [
        f"a1|replaced||{HEAD}",
        f"b2|replaced|{HEAD}|9001",
        f"b2|downgraded|9001|{HEAD}",
        f"a1|serving|{HEAD}|{HEAD}",
    ]
    broken = {"9001": later("9001", HEAD, down="SELECT 1/0")}
    image.with_migrations(broken).upgrade(urls, RELEASE="b2")
    code, _ = image.with_migrations(broken).run(urls.owner, "db", "downgrade", HEAD, RELEASE="b2")
    assert code == 1
    assert (
        ledger(postgres, urls, "release, outcome, schema_before, schema_after")[-1] == "b2|migration failed|9001|9001"
    )


def test_saying_who_serves_waits_for_the_lock_and_gives_up_in_time(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    image.upgrade(urls, RELEASE="a1")
    with postgres.connect("postgres", "owner") as holder:
        holder.execute("SELECT pg_advisory_lock(1935892838, hashtext(%s))", [urls.name])
        code, lines = image.run(urls.owner, "release", "served", RELEASE="a1", MIGRATION_LOCK_WAIT="1")
    assert code == 1
    assert "held the lock for 1 s" in lines[-1]["event"]
    assert ledger(postgres, urls) == ["a1|migrated"]


def test_the_passwords_are_not_in_what_the_commands_say(image: Image, urls: Urls) -> None:
    wrong = urls.owner.replace(PASSWORDS["owner"], "hunter2")
    for command in ("served", "list"):
        code, lines = image.run(wrong, "release", command, RELEASE="a1")
        assert code == 1
        assert "password authentication failed" in lines[-1]["event"]
        assert "hunter2" not in json.dumps(lines)
