"""`flask db upgrade` in the image, against the project's own PostgreSQL: one at a time, all or nothing, and in time."""

# ruff: noqa: S608 - the names are the test's own

from __future__ import annotations

import json
import subprocess
import threading
import time
from functools import partial
from typing import Any

import pytest

from tests.app.conftest import HEAD, PASSWORDS, Image, Postgres, Urls, later
from tests.conftest import until

LOCK = "SELECT pg_advisory_lock(1935892838, hashtext('{name}'))"


@pytest.fixture
def urls(postgres: Postgres) -> Urls:
    """An empty database."""
    return postgres.database()


def events(lines: list[dict[str, Any]]) -> list[str]:
    """Return what the lines say."""
    return [line["event"] for line in lines]


class Session:
    """A psql of the owner that stays connected until it is closed."""

    def __init__(self, postgres: Postgres, database: str, sql: str) -> None:
        environment = ["-e", "PGAPPNAME=somebody", "-e", f"PGPASSWORD={PASSWORDS['owner']}"]
        command = ["docker", "exec", "-i", *environment, postgres.name, "psql", "-h", "127.0.0.1"]
        self.process = subprocess.Popen(
            [*command, "-U", "owner", "-d", database, "-XAtq"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{sql};\n\\echo done\n")
        self.process.stdin.flush()
        while self.process.stdout.readline() not in ("done\n", ""):
            pass

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate("\\q\n", timeout=20)


def test_an_upgrade_makes_the_schema_and_a_second_one_changes_nothing(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    code, lines = image.finished(image.flask(urls.owner, "db", "upgrade", RELEASE="r7"))
    assert code == 0
    assert lines[-1]["event"] == "schema changed"
    before = postgres.psql(urls.name, "SELECT revision, compatible, release, applied_at FROM schema_steps")
    assert before.startswith("0001|f|r7|")
    code, lines = image.finished(image.flask(urls.owner, "db", "upgrade", RELEASE="r8"))
    assert code == 0
    assert lines[-1]["event"] == "schema is up to date"
    assert postgres.psql(urls.name, "SELECT revision, compatible, release, applied_at FROM schema_steps") == before


def test_a_schema_goes_down_and_up_again_and_is_what_the_models_say(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    for command in (("upgrade",), ("check",), ("downgrade", "base"), ("upgrade",)):
        assert image.ran(urls.owner, "db", *command).returncode == 0, command
    assert postgres.psql(urls.name, "SELECT version_num FROM alembic_version") == HEAD
    assert image.run(urls.owner, "db", "downgrade", "base")[0] == 0
    tables = postgres.psql(urls.name, "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'")
    assert tables == "alembic_version"


def test_an_address_belongs_to_one_local_account_whatever_its_case_and_to_many_people_that_a_provider_knows(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    image.upgrade(urls)
    add = "INSERT INTO users (id, email, local) VALUES (gen_random_uuid(), '{}', {})"
    postgres.psql(urls.name, add.format("Ada@example.org", "true"))
    with pytest.raises(AssertionError, match="uq_users_email_lower"):
        postgres.psql(urls.name, add.format("ada@EXAMPLE.org", "true"))
    for _ in range(2):
        postgres.psql(urls.name, add.format("ada@example.org", "false"))
    postgres.psql(urls.name, "INSERT INTO users (id) VALUES (gen_random_uuid())")
    assert image.run(urls.owner, "db", "downgrade", "0002")[0] == 0
    addresses = postgres.psql(urls.name, "SELECT count(DISTINCT lower(email)), count(*) FROM users")
    assert addresses == "4|4", "an older release finds an address of its own for everybody"
    assert postgres.psql(urls.name, "SELECT count(*) FROM users WHERE email = 'Ada@example.org'") == "1"
    image.upgrade(urls)


def test_of_two_upgrades_at_once_one_waits_and_says_for_whom(image: Image, postgres: Postgres, urls: Urls) -> None:
    with Session(postgres, "postgres", LOCK.format(name=urls.name)):
        until(lambda: held(postgres, urls) == "1", "the lock")
        names = [image.flask(urls.owner, "db", "upgrade") for _ in range(2)]
        for name in names:
            until(partial(is_waiting, image, name), "an upgrade that waits")
    done = [image.finished(name) for name in names]
    assert [code for code, _ in done] == [0, 0]
    holders = [line["holder"] for _, lines in done for line in lines if line["event"] == "waiting for the lock"]
    assert {"pid", "application_name", "since"} <= holders[0].keys()
    assert holders[0]["application_name"] == "somebody"
    assert sorted(lines[-1]["event"] for _, lines in done) == ["schema changed", "schema is up to date"]


def is_waiting(image: Image, name: str) -> bool:
    """Tell whether an upgrade has said that it waits for the lock."""
    return "waiting for the lock" in image.docker("logs", name)


def held(postgres: Postgres, urls: Urls) -> str:
    """Return how many sessions hold the lock of a database."""
    return postgres.psql(
        "postgres",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 1935892838 "
        f"AND objid::bigint = (hashtext('{urls.name}')::bigint + 4294967296) % 4294967296",
    )


def test_an_upgrade_gives_up_on_the_lock_in_time_and_says_who_holds_it(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    with Session(postgres, "postgres", LOCK.format(name=urls.name)):
        until(lambda: held(postgres, urls) == "1", "the lock")
        code, lines = image.run(urls.owner, "db", "upgrade", MIGRATION_LOCK_WAIT="1")
    assert code == 1
    assert "held the lock for 1 s: pid " in lines[-1]["event"]
    assert "application_name somebody" in lines[-1]["event"]
    assert "MIGRATION_LOCK_WAIT" in lines[-1]["event"]


def test_an_upgrade_does_not_queue_behind_a_locked_table(image: Image, postgres: Postgres, urls: Urls) -> None:
    image.upgrade(urls)
    with Session(postgres, urls.name, "BEGIN; LOCK TABLE users"):
        locked = "SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass AND granted"
        until(lambda: postgres.psql(urls.name, locked) != "0", "the table's lock")
        bounds = {"MIGRATION_LOCK_TIMEOUT": "0.5", "MIGRATION_LOCK_ATTEMPTS": "2"}
        code, lines = image.run(urls.owner, "db", "downgrade", "base", **bounds)
    assert code == 1
    assert "stayed locked by another session for 0.5 s, 2 times, and nothing was changed: pid " in lines[-1]["event"]
    assert " of role owner (somebody). Let that session end" in lines[-1]["event"]
    assert postgres.psql(urls.name, "SELECT version_num FROM alembic_version") == HEAD


def test_a_migration_that_waits_for_a_lock_holds_nobody_up_for_longer_and_is_tried_again(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    image.upgrade(urls)
    waits: list[float] = []
    ended = threading.Event()

    def read() -> None:
        with postgres.connect(urls.name, "app_a") as connection:
            while not ended.is_set():
                began = time.monotonic()
                connection.execute("SELECT count(*) FROM users")
                waits.append(time.monotonic() - began)
                ended.wait(0.01)

    reader = threading.Thread(target=read)
    altering = image.with_migrations({"9001": later("9001", HEAD, up="ALTER TABLE users ADD note text")})
    with postgres.connect(urls.name, "owner", "a long report") as report:
        report.execute("BEGIN")
        report.execute("SELECT count(*) FROM users")
        reader.start()
        name = altering.flask(
            urls.owner, "db", "upgrade", RELEASE="r8", MIGRATION_LOCK_TIMEOUT="1", MIGRATION_LOCK_ATTEMPTS="6"
        )
        again = "trying again after a pause"
        until(lambda: image.docker("logs", name).count(again) == 2, "two attempts that met the lock", 60)
        report.execute("COMMIT")
    code, lines = image.finished(name)
    ended.set()
    reader.join(10)
    assert code == 0, lines
    pauses = [line["pause_seconds"] for line in lines if again in line["event"]]
    assert pauses[:2] == [1, 2]
    assert lines[-1]["after"] == ["9001"]
    # The report held the table for more than three seconds.
    assert 0.5 < max(waits) < 2.5, "readers wait behind it for as long as its lock_timeout, and no longer"
    assert postgres.psql(urls.name, "SELECT release, outcome FROM releases ORDER BY id DESC LIMIT 1") == "r8|migrated"


def test_who_waits_for_another_migration_is_told_its_release_and_who_started_it(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    image.upgrade(urls)
    slow = image.with_migrations({"9001": later("9001", HEAD, up="SELECT pg_sleep(60)")})
    first = slow.flask(urls.owner, "db", "upgrade", RELEASE="r8", RELEASE_BY="Ada Lovelace")
    until(lambda: held(postgres, urls) == "1", "the lock")
    code, lines = image.run(urls.owner, "db", "upgrade", RELEASE="r9", MIGRATION_LOCK_WAIT="1")
    image.docker("kill", first)
    assert code == 1
    assert "held the lock for 1 s: release r8, by Ada Lovelace, pid " in lines[-1]["event"]
    assert postgres.psql(urls.name, "SELECT count(*) FROM releases WHERE release = 'r9'") == "0"


@pytest.mark.parametrize("words", ["", "not True", "None"])
def test_a_revision_without_its_word_on_compatibility_is_refused_before_anything_is_changed(
    image: Image, postgres: Postgres, urls: Urls, words: str
) -> None:
    image.upgrade(urls, RELEASE="r7")
    silent = image.with_migrations(
        {"9001": later("9001", HEAD), "9002": later("9002", "9001", compatible=words)},
    )
    code, lines = silent.run(urls.owner, "db", "upgrade", RELEASE="r8")
    assert code == 1
    assert lines[-1]["event"].startswith(
        "Error: nothing was changed: migrations/versions/9002_later.py: wanted the line `compatible = True`"
    )
    assert postgres.psql(urls.name, "SELECT version_num FROM alembic_version") == HEAD
    assert postgres.psql(urls.name, "SELECT release FROM releases") == "r7"


def test_an_old_image_serves_on_later_compatible_schemas_and_says_so_when_it_cannot_any_more(
    image: Image, postgres: Postgres, urls: Urls
) -> None:
    sources = {"9001": later("9001", HEAD), "9002": later("9002", "9001")}
    image.upgrade(urls, RELEASE="r7")
    old = image.web(urls)
    later_image = image.with_migrations(sources)
    later_image.upgrade(urls, RELEASE="r8")
    assert later_image.run(urls.owner, "release", "served", RELEASE="r8")[0] == 0
    for web in (old, image.web(urls)):
        until(lambda web=web: web.status("/readyz") == 200, "readiness on a compatible schema")  # type: ignore[misc]
    code, lines = image.run(urls.owner, "db", "upgrade", RELEASE="r7")
    assert (code, lines[-1]["revision"]) == (0, ["9002"])
    newest = "SELECT release, outcome, schema_before, schema_after FROM releases ORDER BY id DESC LIMIT 1"
    assert postgres.psql(urls.name, newest) == "r7|migrated|9002|9002"

    newest_image = image.with_migrations({**sources, "9003": later("9003", "9002", compatible="False")})
    newest_image.upgrade(urls, RELEASE="r9")
    answer = old.ask("/readyz")
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "schema")
    before = postgres.psql(urls.name, "SELECT * FROM releases, schema_steps, alembic_version ORDER BY 1, 13")
    for command in (("db", "upgrade"), ("db", "downgrade", HEAD)):
        code, lines = image.run(urls.owner, *command, RELEASE="r7")
        assert code == 1
        assert "the image of release r9" in lines[-1]["event"]
    assert "this image does not know revision 9003" in lines[-1]["event"]
    code, lines = image.run(urls.owner, "db", "upgrade", RELEASE="r7")
    assert f"the schema is at 9003, this image needs {HEAD}" in lines[-1]["event"]
    assert f"db downgrade {HEAD}" in lines[-1]["event"]
    assert postgres.psql(urls.name, "SELECT * FROM releases, schema_steps, alembic_version ORDER BY 1, 13") == before

    code, lines = newest_image.run(urls.owner, "db", "downgrade", HEAD, RELEASE="r9")
    assert (code, lines[-1]["after"]) == (0, [HEAD])
    assert old.status("/readyz") == 200
    code, lines = image.run(urls.owner, "db", "upgrade", RELEASE="r7")
    assert code == 0


def test_a_role_that_may_not_change_the_schema_is_told_what_to_run(image: Image, urls: Urls) -> None:
    code, lines = image.run(urls.app, "db", "upgrade")
    assert code == 1
    assert [line for line in lines if line["level"] == "error"] == [lines[-1]]
    assert lines[-1]["event"] == (
        'Error: role "app_a" may not change the schema: run "make migrate", which starts the migrate container '
        "of this release with the owner's role"
    )


def test_an_upgrade_waits_for_a_server_that_is_not_there_and_gives_up_in_time(image: Image, urls: Urls) -> None:
    absent = urls.owner.replace(":5432", ":5433")
    code, lines = image.run(absent, "db", "upgrade", MIGRATION_DATABASE_WAIT="1")
    assert code == 1
    assert "waiting for the database" in events(lines)
    assert "did not answer within 1 s" in lines[-1]["event"]
    assert "MIGRATION_DATABASE_WAIT" in lines[-1]["event"]


def test_a_wrong_password_is_not_waited_for_nor_shown(image: Image, urls: Urls) -> None:
    wrong = urls.owner.replace("0wner-s3cret", "hunter2")
    code, lines = image.run(wrong, "db", "upgrade")
    assert code == 1
    assert "password authentication failed" in lines[-1]["event"]
    assert "hunter2" not in json.dumps(lines)


@pytest.mark.parametrize(
    ("compatible", "code", "words"), [("true", 0, "nothing to do"), ("false", 1, f"db downgrade {HEAD}")]
)
def test_a_later_schema_is_left_alone_when_it_is_compatible_and_refused_when_not(
    image: Image, postgres: Postgres, urls: Urls, compatible: str, code: int, words: str
) -> None:
    image.upgrade(urls)
    later = f"INSERT INTO schema_steps VALUES ('9999', '{HEAD}', {compatible}, 'later')"
    postgres.psql(urls.name, f"UPDATE alembic_version SET version_num = '9999'; {later}")
    found, lines = image.run(urls.owner, "db", "upgrade")
    assert found == code
    assert words in lines[-1]["event"]
    assert postgres.psql(urls.name, "SELECT version_num FROM alembic_version") == "9999"


def test_sqlite_is_enough_in_development(image: Image) -> None:
    development = {"ENVIRONMENT": "development"}
    code, lines = image.run("sqlite:////tmp/app.db", "db", "upgrade", **development)
    assert code == 0
    assert lines[-1]["event"] == "schema changed"
