"""The roles job, and what the roles it makes may do."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

Document = Callable[..., dict[str, Any]]
UNCHANGED = "roles are as wanted: nothing changed"


def test_a_second_run_changes_nothing_and_says_so(shared: Any, document: Document) -> None:
    (only,) = shared.roles(document())
    assert (only["event"], only["changes"]) == (UNCHANGED, 0)


def test_every_role_logs_in_over_tcp_whatever_is_in_its_password(shared: Any, passwords: dict[str, str]) -> None:
    for user, password in passwords.items():
        if user == "restore_loader":
            # It is let into what it loads, and nowhere else.
            assert "permission denied for database" in shared.over_tcp(user, password, "SELECT 1").stderr
            continue
        done = shared.over_tcp(user, password, "SELECT current_user")
        assert done.stdout.strip() == user, done.stderr
        assert shared.over_tcp(user, password + "x", "SELECT 1").returncode != 0


def test_the_superuser_is_not_reachable_over_tcp(shared: Any) -> None:
    done = shared.over_tcp("postgres", "whatever", "SELECT 1", "postgres")
    assert "pg_hba.conf rejects connection" in done.stderr


def test_over_the_socket_only_the_superuser_gets_in(shared: Any) -> None:
    command = ["docker", "exec", shared.name, "psql", "-U", "app_a", "-d", "scaffold", "-c", "SELECT 1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "pg_hba.conf rejects connection" in done.stderr


def test_another_container_on_an_internal_network_reaches_the_database(
    shared: Any, docker: Any, passwords: dict[str, str]
) -> None:
    network = f"{shared.name}-network"
    docker("network", "create", "--internal", "--label", shared.label, network)
    try:
        docker("network", "connect", "--alias", "database", network, shared.name)
        answer = docker(
            "run", "--rm", *shared.hardened("--network", network), "-e", f"PGPASSWORD={passwords['app_a']}",
            shared.image, "psql", "-XqAt", "-h", "database", "-U", "app_a", "-d", "scaffold",
            "-c", "SELECT current_user",
        )  # fmt: skip
        assert answer == "app_a"
    finally:
        docker("network", "disconnect", "-f", network, shared.name, check=False)
        docker("network", "rm", network, check=False)


def test_the_app_has_dml_and_no_ddl_and_the_owner_has_both(shared: Any, passwords: dict[str, str]) -> None:
    def run(user: str, statement: str, database: str = "scaffold") -> Any:
        return shared.over_tcp(user, passwords[user], statement, database)

    made = run("owner", "CREATE TABLE note (id bigserial PRIMARY KEY, text text)")
    assert made.returncode == 0, made.stderr
    for user in ("app_a", "app_b"):
        write = "INSERT INTO note (text) VALUES ('x'); UPDATE note SET text = 'y'; SELECT text FROM note"
        done = run(user, write + "; DELETE FROM note")  # noqa: S608 - constants
        assert (done.returncode, done.stdout.strip()) == (0, "y"), done.stderr
        for statement in (
            "CREATE TABLE other (id int)", "ALTER TABLE note ADD more text", "DROP TABLE note", "TRUNCATE note",
            "CREATE SCHEMA mine", "CREATE TEMPORARY TABLE t (id int)", "CREATE DATABASE mine", "CREATE ROLE mine",
            "GRANT owner TO CURRENT_USER", "SET ROLE owner", "ALTER SYSTEM SET work_mem = '1GB'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ):  # fmt: skip
            assert run(user, statement).returncode != 0, f"{user} could: {statement}"
        for other in ("postgres", "template1"):
            assert "permission denied for database" in run(user, "SELECT 1", other).stderr
    assert run("owner", "SELECT pg_advisory_lock(1)", "postgres").returncode == 0
    assert run("owner", "ALTER TABLE note ADD more text; DROP TABLE note").returncode == 0
    assert run("owner", "CREATE ROLE mine").returncode != 0
    assert run("owner", "CREATE DATABASE mine").returncode != 0
    timeouts = "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
    assert run("app_a", timeouts).stdout.strip() == "30s|1min"


def test_the_backup_role_reads_whatever_there_is_and_changes_nothing(shared: Any, passwords: dict[str, str]) -> None:
    def run(statement: str, user: str = "backup_ro", database: str = "scaffold") -> Any:
        return shared.over_tcp(user, passwords[user], statement, database)

    hidden = (
        "CREATE TABLE secret_note (owner text); INSERT INTO secret_note VALUES ('somebody else');"
        "ALTER TABLE secret_note ENABLE ROW LEVEL SECURITY; ALTER TABLE secret_note FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY mine ON secret_note USING (owner = current_user); CREATE SCHEMA aside;"
        "CREATE TABLE aside.table AS SELECT 1 AS one; SELECT lo_from_bytea(4711, 'large')"
    )
    shared.sql(f"{hidden}; ALTER TABLE secret_note OWNER TO owner")
    try:
        assert run("SELECT owner FROM secret_note").stdout.strip() == "somebody else"
        assert run("SELECT one FROM aside.table").stdout.strip() == "1"
        assert run("SELECT convert_from(lo_get(4711), 'UTF8')").stdout.strip() == "large"
        first = "SET default_transaction_read_only = off; "
        for statement in (
            "INSERT INTO secret_note VALUES ('x')", "DELETE FROM secret_note", "TRUNCATE secret_note",
            "CREATE TABLE public.mine (id int)", "CREATE SCHEMA mine", "CREATE TEMPORARY TABLE t (id int)",
            "CREATE DATABASE mine", "CREATE ROLE mine", "SET ROLE owner", "SET ROLE postgres",
            "ALTER ROLE backup_ro SUPERUSER", "COPY secret_note TO PROGRAM 'cat'", "SELECT pg_read_file('PG_VERSION')",
        ):  # fmt: skip
            assert run(first + statement).returncode != 0, f"it could: {statement}"
        assert "permission denied for database" in run("SELECT 1", database="template1").stderr
        for statement in ("CREATE TABLE public.mine (id int)", "SELECT public.free_bytes()", "DROP DATABASE scaffold"):
            assert run(first + statement, database="postgres").returncode != 0, f"it could: {statement}"
    finally:
        shared.sql("DROP TABLE secret_note; DROP SCHEMA aside CASCADE; SELECT lo_unlink(4711)")


def test_what_was_changed_by_hand_at_the_backup_role_is_repaired(
    shared: Any, document: Document, passwords: dict[str, str]
) -> None:
    shared.sql(
        "ALTER ROLE backup_ro NOBYPASSRLS CREATEDB; GRANT pg_write_all_data TO backup_ro;"
        "REVOKE pg_read_all_data FROM backup_ro; REVOKE CONNECT ON DATABASE scaffold FROM backup_ro;"
        "ALTER ROLE backup_ro RESET ALL; REVOKE CONNECT ON DATABASE postgres FROM backup_ro"
    )
    assert shared.over_tcp("backup_ro", passwords["backup_ro"], "SELECT 1").returncode != 0
    assert len(shared.roles(document())) >= 7
    assert [item["event"] for item in shared.roles(document())] == [UNCHANGED]
    assert shared.over_tcp("backup_ro", passwords["backup_ro"], "SELECT 1").returncode == 0


def test_the_restore_roles_swap_databases_and_do_nothing_else(shared: Any, passwords: dict[str, str]) -> None:
    def run(user: str, statement: str, database: str = "postgres") -> Any:
        return shared.over_tcp(user, passwords[user], statement, database)

    made = run("restore_admin", "CREATE DATABASE scratch OWNER owner TEMPLATE template0")
    assert made.returncode == 0, made.stderr
    try:
        for statement in (
            "ALTER DATABASE scratch RENAME TO scratch_2", "ALTER DATABASE scratch_2 ALLOW_CONNECTIONS false",
            "ALTER DATABASE scratch_2 ALLOW_CONNECTIONS true", "ALTER DATABASE scratch_2 RENAME TO scratch",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app_a'",
        ):  # fmt: skip
            done = run("restore_admin", statement)
            assert done.returncode == 0, done.stderr
        for statement in (
            "CREATE ROLE mine", "ALTER SYSTEM SET work_mem = '1GB'", "SET ROLE postgres", "SELECT pg_read_file('x')",
            "ALTER ROLE restore_admin SUPERUSER", "COPY (SELECT 1) TO PROGRAM 'cat'", "SELECT pg_ls_dir('.')",
        ):  # fmt: skip
            assert run("restore_admin", statement).returncode != 0, f"it could: {statement}"
        for database in ("scaffold", "postgres", "template1"):
            assert "permission denied for database" in run("restore_loader", "SELECT 1", database).stderr
    finally:
        shared.sql("DROP DATABASE IF EXISTS scratch")


def test_how_much_room_there_is_only_the_restores_admin_learns(shared: Any, passwords: dict[str, str]) -> None:
    def run(user: str) -> Any:
        return shared.over_tcp(user, passwords[user], "SELECT public.free_bytes()", "postgres")

    free = shared.docker("exec", shared.name, "df", "--output=avail", "--block-size=1", "/var/lib/postgresql")
    assert abs(int(run("restore_admin").stdout) - int(free.split()[-1])) < 4 << 30
    assert "permission denied for function free_bytes" in run("owner").stderr


def test_how_the_archive_is_only_the_backup_role_learns_and_nobody_knows_where_that_is_old(
    shared: Any, document: Document, passwords: dict[str, str]
) -> None:
    def run(user: str, statement: str = "SELECT public.archive_state()") -> Any:
        return shared.over_tcp(user, passwords[user], statement, "postgres")

    def shell(script: str) -> None:
        shared.docker("exec", shared.name, "sh", "-c", f"cd /var/lib/postgresql/data && {script}")

    assert run("backup_ro").stdout.strip() == "unknown", "nothing is archived here"
    for user in ("owner", "restore_admin"):
        assert "permission denied for function archive_state" in run(user).stderr
    for user in ("app_a", "app_b", "restore_loader"):
        assert "permission denied for database" in run(user).stderr
    try:
        shell("echo well > archive.json")
        assert run("backup_ro").stdout.strip() == "well"
        for moment in ("6 minutes ago", "+2 minutes"):
            shell(f"touch -d '{moment}' archive.json")
            assert run("backup_ro").stdout.strip() == "unknown", moment
    finally:
        shell("rm -f archive.json")
    shared.sql("GRANT EXECUTE ON FUNCTION public.archive_state() TO PUBLIC", "postgres")
    said = [item["event"] for item in shared.roles(document())]
    assert said == ["let backup_ro ask how the archive is", "roles are as wanted"]
    assert "permission denied for function archive_state" in run("owner").stderr


def test_a_password_rotates_with_its_sessions_open_and_the_other_role_untouched(
    shared: Any, document: Document, passwords: dict[str, str]
) -> None:
    command = [
        "docker", "exec", "-i", "-e", f"PGPASSWORD={passwords['app_a']}", shared.name,
        "psql", "-XqAt", "-h", "127.0.0.1", "-U", "app_a", "-d", "scaffold",
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write("SELECT 'before';\n")
        session.stdin.flush()
        assert session.stdout.readline() == "before\n"
        changed = [item["event"] for item in shared.roles(document(app_a="rotated"))]
        assert changed == ["changed the password of role app_a", "roles are as wanted"]
        session.stdin.write("SELECT 'after';\n")
        session.stdin.flush()
        assert session.stdout.readline() == "after\n"
        session.stdin.close()
        session.wait(10)
    assert shared.over_tcp("app_a", passwords["app_a"], "SELECT 1").returncode != 0
    assert shared.over_tcp("app_a", "rotated", "SELECT 1").returncode == 0
    assert shared.over_tcp("app_b", passwords["app_b"], "SELECT 1").returncode == 0
    shared.roles(document())


def test_what_was_changed_by_hand_is_repaired(shared: Any, document: Document, passwords: dict[str, str]) -> None:
    shared.sql(
        "CREATE TABLE strange (id serial); CREATE VIEW seen AS SELECT 1 AS one; CREATE TYPE mood AS ENUM ('good');"
        "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';"
        "ALTER ROLE app_a CREATEDB CREATEROLE CONNECTION LIMIT 1; GRANT owner TO app_a; ALTER ROLE app_b NOLOGIN;"
        "GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT CREATE ON DATABASE scaffold TO app_b;"
        "GRANT TRUNCATE ON strange TO app; GRANT SELECT ON strange TO PUBLIC; ALTER ROLE app PASSWORD 'x' LOGIN;"
        "ALTER ROLE app_a RESET statement_timeout; ALTER DATABASE scaffold OWNER TO postgres;"
        "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public REVOKE INSERT ON TABLES FROM app"
    )
    assert len(shared.roles(document())) > 12
    assert [item["event"] for item in shared.roles(document())] == [UNCHANGED]
    for statement in ("CREATE TABLE other (id int)", "TRUNCATE strange", "CREATE DATABASE mine", "SET ROLE owner"):
        assert shared.over_tcp("app_a", passwords["app_a"], statement).returncode != 0
    used = shared.over_tcp("app_b", passwords["app_b"], "INSERT INTO strange DEFAULT VALUES; SELECT one FROM seen")
    assert used.stdout.strip() == "1", used.stderr
    undone = shared.over_tcp(
        "owner", passwords["owner"], "DROP TABLE strange; DROP VIEW seen; DROP TYPE mood; DROP FUNCTION twice"
    )
    assert undone.returncode == 0, undone.stderr


def test_the_records_of_schema_and_releases_are_for_reading_alone(
    shared: Any, document: Document, passwords: dict[str, str]
) -> None:
    made = (
        "CREATE TABLE alembic_version (version_num text); CREATE TABLE schema_steps (revision text);"
        "CREATE TABLE releases (id serial, outcome text); INSERT INTO releases (outcome) VALUES ('serving')"
    )
    assert shared.over_tcp("owner", passwords["owner"], made).returncode == 0
    try:
        said = [item["event"] for item in shared.roles(document())]
        assert "revoked DELETE, INSERT, UPDATE on table releases from app" in said
        assert "revoked USAGE on sequence releases_id_seq from app" in said
        assert [item["event"] for item in shared.roles(document())] == [UNCHANGED]
        for user in ("app_a", "app_b"):
            read = shared.over_tcp(user, passwords[user], "SELECT outcome FROM releases")
            assert read.stdout.strip() == "serving", read.stderr
            for statement in (
                "INSERT INTO alembic_version VALUES ('9')", "UPDATE schema_steps SET revision = '9'",
                "DELETE FROM schema_steps", "UPDATE releases SET outcome = 'mine'", "DELETE FROM releases",
                "TRUNCATE releases", "SELECT nextval('releases_id_seq')",
            ):  # fmt: skip
                refused = shared.over_tcp(user, passwords[user], statement)
                assert "permission denied" in refused.stderr, f"{user} could: {statement}"
    finally:
        shared.over_tcp("owner", passwords["owner"], "DROP TABLE alembic_version, schema_steps, releases")


def test_what_the_app_left_with_its_own_role_is_taken_back(
    shared: Any, document: Document, passwords: dict[str, str]
) -> None:
    left = (
        "ALTER ROLE app_a SET statement_timeout = 0; ALTER ROLE app_a SET search_path = pg_catalog; "
        "ALTER ROLE app_a IN DATABASE scaffold SET default_transaction_read_only = on"
    )
    assert shared.over_tcp("app_a", passwords["app_a"], left).returncode == 0
    said = [item["event"] for item in shared.roles(document())]
    assert "reset every setting for role app_a in database scaffold" in said
    assert [item["event"] for item in shared.roles(document())] == [UNCHANGED]
    kept = shared.sql("SELECT count(*) FROM pg_db_role_setting WHERE setrole = 'app_a'::regrole AND setdatabase <> 0")
    assert kept == "0"
    shown = shared.over_tcp("app_a", passwords["app_a"], "SHOW search_path; SHOW statement_timeout")
    assert shown.stdout.split("\n")[:2] == ['"$user", public', "30s"], shown.stderr


def test_the_app_cannot_take_the_connections_kept_for_the_owner(shared: Any) -> None:
    rows = shared.sql(
        "SELECT rolconnlimit <= current_setting('max_connections')::int - 8, "
        "pg_has_role('owner', 'pg_use_reserved_connections', 'USAGE') FROM pg_roles WHERE rolname = 'app_a'"
    )
    assert rows == "t|t"


@pytest.mark.parametrize(
    ("bend", "words"),
    [
        ({"database": "Robert'); DROP"}, "database: got the name"),
        ({"database": "postgres"}, "is taken"),
        ({"owner": {"name": "owner"}}, "owner: got the keys name, wanted exactly name, password"),
        ({"owner": {"name": "app", "password": "x"}}, "the name 'app' is taken"),
        ({"owner": {"name": "owner", "password": ""}}, "owner.password: it is empty"),
        ({"owner": {"name": "app_a", "password": "x"}}, "the role 'app_a' is there 2 times"),
        ({"app": []}, "app: wanted a list"),
        ({"backup": {"name": "owner", "password": "x"}}, "the role 'owner' is there 2 times"),
        ({"extra": 1}, "wanted exactly database, owner, app"),
    ],
)
def test_an_unusable_file_is_refused_naming_the_place(bend: dict[str, Any], words: str, document: Document) -> None:
    from server import wanted

    with pytest.raises(ValueError, match=r"wanted|Choose|taken|times") as caught:
        wanted.parse(json.dumps({**document(), **bend}))
    assert words in str(caught.value)


def test_without_a_server_the_job_gives_up_in_time_and_says_where_to_look(database: Any, document: Document) -> None:
    began = time.monotonic()
    lines = database.roles(document(), succeeds=False, options=("-e", "WAIT_TIMEOUT=1"))
    assert time.monotonic() - began < 20
    assert "no server accepted connections within 1 s" in lines[-1]["event"]
