"""The newest good backup of a bucket, loaded into an empty database: whole or not at all, and into no other."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.backup.store import Store
from tests.conftest import until
from tests.database.conftest import PASSWORDS

# The server is built first, which takes minutes where that was never done.
pytestmark = pytest.mark.slow
SITE = """
SET SESSION AUTHORIZATION owner;
CREATE EXTENSION citext;
CREATE SCHEMA side;
CREATE TABLE people (id serial PRIMARY KEY, email citext UNIQUE, seed bytea);
INSERT INTO people (email, seed) VALUES ('Ada@example.org', '\\x00ff'), ('grace@example.org', NULL);
CREATE TABLE side.audit (at timestamptz DEFAULT now(), what text);
GRANT USAGE ON SCHEMA side TO app;
GRANT INSERT ON side.audit TO app;
GRANT SELECT (email) ON people TO app;
CREATE TABLE numbers AS SELECT i, sha256(i::text::bytea) AS hash FROM generate_series(1, 400000) i;
CREATE INDEX ON numbers (hash);
SELECT lo_from_bytea(4711, '\\xdeadbeef');
"""


@pytest.fixture(scope="module")
def store(stage: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The S3 server."""
    ours = Store(stage, tmp_path_factory.mktemp("s3"))
    ours.build()
    ours.start()
    yield ours
    ours.stop()


@pytest.fixture(scope="module")
def site(stage: Any) -> str:
    """The name of a database as an app's owner makes it."""
    stage.make_database("site", SITE)
    return "site"


@pytest.fixture
def copied(stage: Any, store: Store, on: Callable[[str], Any], site: str) -> Any:
    """A folder whose one backup is encrypted and in the bucket, and nowhere else."""
    secret = stage.docker("exec", stage.name, "age-keygen")
    desk = on(site)
    desk.key = secret.encode()
    desk.environ["BACKUP_AGE_RECIPIENTS"] = next(line.split()[-1] for line in secret.splitlines() if "public" in line)
    desk.environ |= store.settings(desk.folder.name)
    desk.made = desk.make()
    stage.docker("exec", stage.name, "rm", "-r", f"/backups/{desk.folder.name}/{desk.made}")
    return desk


@pytest.fixture
def empty(stage: Any, copied: Any) -> Any:
    """The program as the job that loads: as the owner of a new database."""
    name = f"new_{uuid.uuid4().hex[:8]}"
    stage.sql(f"CREATE DATABASE {name} OWNER owner TEMPLATE template0", "postgres")
    stage.sql("ALTER SCHEMA public OWNER TO owner", name)
    url = stage.url(name, "owner", PASSWORDS["owner"])
    copied.environ["DATABASE_URL_FILE"] = stage.file(f"url-{name}", url.encode())
    copied.name = name
    return copied


def handed(desk: Any, key: bytes) -> None:
    """Hand the key in."""
    words = ["docker", "exec", "--interactive", desk.stage.name, "python", "-m", "backup", "key"]
    assert subprocess.run(words, input=key, timeout=60, check=False).returncode == 0


def tables(desk: Any) -> int:
    """Count the tables that are there."""
    query = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    return int(desk.stage.sql(query, desk.name))


def test_the_newest_backup_is_fetched_decrypted_loaded_and_compared(empty: Any) -> None:
    handed(empty, empty.key)
    done = empty.run("recover", "latest")
    assert done.status == 0, done.text
    assert done.lines[-1]["event"] == "the database is what the backup holds"
    assert done.lines[-1]["id"] == empty.made
    assert empty.names() == [empty.made], "it is here again, as it was"
    assert tables(empty) == 2
    may = "SELECT has_table_privilege('app', 'side.audit', kind) FROM unnest(ARRAY['INSERT', 'SELECT']) AS kind"
    assert empty.stage.sql(may, empty.name).split() == ["t", "f"], "rights are as they were"
    assert empty.stage.sql("SELECT count(*) FROM people WHERE email = 'ADA@example.org'", empty.name) == "1"
    assert empty.stage.docker("exec", empty.stage.name, "ls", "/tmp") == "", "the key is gone"
    before = tables(empty)
    again = empty.run("recover", "latest")
    assert (again.status, again.lines[-1]["event"]) == (0, "the backup has been loaded already")
    assert again.lines[-1]["id"] == empty.made
    assert tables(empty) == before


def test_another_key_loads_nothing(empty: Any) -> None:
    stranger = empty.stage.docker("exec", empty.stage.name, "age-keygen")
    handed(empty, stranger.encode())
    done = empty.run("recover", "latest")
    assert (done.status, "Is this the key of a recipient?" in done.errors) == (1, True)
    assert tables(empty) == 0


def test_a_load_that_fails_leaves_nothing_and_the_next_one_is_whole(empty: Any) -> None:
    handed(empty, empty.key)
    running = subprocess.Popen(empty.command("recover", empty.made), stdout=subprocess.DEVNULL)
    until(lambda: any("pg_restore" in line and "--single" in line for _, line in empty.stage.programs()), "load", 120)
    empty.stage.kill()
    assert running.wait(60) == 137
    until(lambda: not any("pg_restore" in line for _, line in empty.stage.programs()), "end of the load")
    assert tables(empty) == 0
    handed(empty, empty.key)
    done = empty.run("recover", "latest")
    assert done.status == 0, done.text


def test_a_database_that_holds_something_is_left_alone(empty: Any) -> None:
    empty.stage.sql("CREATE TABLE mine AS SELECT 1 AS one", empty.name)
    done = empty.run("recover", "latest")
    assert (done.status, "nothing was loaded" in done.text) == (0, True)
    assert tables(empty) == 1


def test_what_was_loaded_and_is_something_else_is_told_again_and_again(empty: Any) -> None:
    handed(empty, empty.key)
    assert empty.run("recover", "latest").status == 0
    empty.stage.sql("SET ROLE owner; CREATE TABLE more (one int)", empty.name)
    empty.stage.sql(f"COMMENT ON DATABASE {empty.name} IS 'recovering {empty.made}'", empty.name)
    for _ in range(2):
        done = empty.run("recover", "latest")
        assert done.status == 1
        assert "table public.more is there, but not in" in done.errors.replace('"', ""), done.errors


def test_a_bucket_without_a_backup_that_counts_says_so(empty: Any) -> None:
    done = empty.run("recover", "latest", BACKUP_S3_PREFIX="nothing-here")
    assert (done.status, "the bucket has no backup that counts" in done.errors) == (1, True)


def test_a_kit_in_the_bucket_outlives_retention(empty: Any, store: Store) -> None:
    work = empty.environ["BACKUP_WORK_DIR"]
    empty.stage.docker("exec", empty.stage.name, "mkdir", "-p", work)
    command = empty.command("keep", "shop-1.kit")
    command.insert(2, "--interactive")
    done = subprocess.run(command, input=b"a kit", capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    kept = store.data / "backups" / empty.folder.name / "kits" / "shop-1.kit.age"
    assert kept.read_bytes() == done.stdout
    url = empty.stage.file("url-site", empty.stage.url("site").encode())
    few = dict.fromkeys(("BACKUP_KEEP_LAST", "BACKUP_KEEP_MIN"), "1")
    none = dict.fromkeys(("BACKUP_KEEP_DAILY", "BACKUP_KEEP_WEEKLY", "BACKUP_KEEP_MONTHLY"), "0")
    for _ in range(2):
        empty.make(**few, **none, DATABASE_URL_FILE=url)
    assert len({name.split("/")[0] for name in store.stored(empty.folder.name)}) == 2, "the newest, and the kits"
    assert kept.read_bytes() == done.stdout
