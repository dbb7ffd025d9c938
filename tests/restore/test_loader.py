# ruff: noqa: S608 - the tests' own words
"""The loader's process: what it answers, and what becomes of work that is called off, takes too long or is killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import until
from tests.restore.depot import Depot
from tests.restore.test_script import HEAD, TAIL

SLOW = HEAD + b"CREATE TABLE t (a int);\nSELECT pg_sleep(300);\n" + TAIL
QUICK = HEAD + b"CREATE TABLE t (a int);\nCOPY t FROM stdin;\n1\n2\n\\.\n" + TAIL


@pytest.fixture
def scratch(depot: Depot) -> Iterator[str]:
    """An empty scratch database."""
    name = depot.scratch()
    yield name
    depot.drop(name)


def sessions(depot: Depot, name: str) -> int:
    """How many statements of the loader's run in a database."""
    running = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND state = 'active'"
    return int(depot.run(running))


def begun(depot: Depot, name: str) -> Any:
    """A load that does not end by itself."""
    job = depot.job(SLOW, "sql")
    job.request("load", database=name)
    until(lambda: sessions(depot, name) == 1, "statement under way")
    return job


def test_a_request_is_answered_once_and_a_later_one_again(depot: Depot, scratch: str) -> None:
    job = depot.job(QUICK, "sql")
    first = job.done("validate")
    assert (first["statements"], first["rows"], first["bytes"]) == (5, 2, len(QUICK))
    assert job.done("load", database=scratch)["rows"] == 2
    assert job.done("inspect", database=scratch)["rows"] == 2
    (told,) = [json.loads(path.read_text()) for path in job.folder.glob("progress.json")]
    assert set(told) == {"seq", "phase", "bytes", "of", "table"}
    assert (job.folder / "answer.json").stat().st_mode & 0o777 == 0o640
    names = {"file", "request.json", "answer.json", "progress.json"}
    until(lambda: {path.name for path in job.folder.iterdir()} == names, "end of what is nobody's business")
    again = job.ask("load", database=scratch)
    assert (again["ok"], "already exists" in again["reason"]) == (False, True), "each load wants an empty database"


def test_work_that_is_called_off_ends_on_the_server_too(depot: Depot, scratch: str) -> None:
    job = begun(depot, scratch)
    assert job.done("cancel")["seq"] == 2
    until(lambda: sessions(depot, scratch) == 0, "end of the statement")
    assert depot.job(QUICK, "sql").done("validate")["rows"] == 2


def test_work_that_takes_too_long_is_ended_with_the_setting_that_gives_more(depot: Depot, scratch: str) -> None:
    job = depot.job(SLOW, "sql")
    answer = job.ask("load", database=scratch, deadline_seconds=3)
    assert (answer["ok"], answer["transient"]) == (False, False)
    assert "not done within 3 s" in answer["reason"]
    assert "RESTORE_LOAD_TIMEOUT" in answer["hint"]
    until(lambda: sessions(depot, scratch) == 0, "end of the statement")


def test_a_process_that_is_killed_is_answered_for(depot: Depot, scratch: str) -> None:
    job = begun(depot, scratch)
    (pid,) = [pid for pid, line in depot.processes() if f"work {job.folder.name}" in line and "docker-init" not in line]
    os.kill(pid, signal.SIGKILL)
    answer = job.answer()
    assert (answer["ok"], answer["transient"]) == (False, True)
    assert "its process ended with status -9" in answer["reason"]


def test_a_server_that_goes_away_is_a_passing_trouble(depot: Depot, scratch: str) -> None:
    job = begun(depot, scratch)
    depot.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{scratch}'")
    answer = job.answer()
    assert (answer["ok"], answer["transient"]) == (False, True), answer


@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_a_load_that_its_loader_left_is_tried_again_in_an_empty_database(depot: Depot, scratch: str, how: str) -> None:
    job = begun(depot, scratch)
    depot.docker("kill", "-s", how, depot.name)
    until(lambda: depot.docker("inspect", "-f", "{{.State.Running}}", depot.name) == "false", "end of the loader")
    assert not (job.folder / "answer.json").exists()
    # After a kill the server looks now and then whether there is a client.
    until(lambda: sessions(depot, scratch) == 0, "end of the statement")
    depot.docker("start", depot.name)
    answer = job.answer()
    assert (answer["ok"], answer["transient"]) == (False, True), answer
    assert job.done("cancel")


def test_a_request_that_ends_the_loader_again_and_again_is_given_up(depot: Depot) -> None:
    job = depot.job(QUICK, "sql")
    (job.folder / "tries.json").write_text(json.dumps({"seq": 1, "count": 3}))
    os.chown(job.folder / "tries.json", 10006, 10005)
    answer = job.ask("validate")
    assert (answer["ok"], answer["transient"]) == (False, False)
    assert "ended 3 times" in answer["reason"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"seq": 1, "verb": "psql"}', '{"seq": "1", "verb": "load"}', '{"seq": 1, "verb": "load"}',
     '{"seq": 1, "verb": "validate", "kind": "exe"}', '{"seq": 1, "verb": "inspect", "database": "a\\nb"}'],
)  # fmt: skip
def test_what_is_no_request_is_told_once_and_harms_no_other(depot: Depot, text: str) -> None:
    broken, good = depot.job(QUICK, "sql"), depot.job(QUICK, "sql")
    (broken.folder / "request.json").write_text(text)
    good.done("validate")
    until(lambda: f'"job":"{broken.folder.name}"' in depot.log(), "word of it")
    good.done("validate")
    assert depot.log().count(f'"job":"{broken.folder.name}"') == 1
    assert not (broken.folder / "answer.json").exists()


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (QUICK[: -len(TAIL) - 2], "sql", "inside the data of COPY"),
        (gzip.compress(QUICK)[:-9], "sql.gz", "ends before what gzip packed does"),
        (gzip.compress(QUICK) + b"x", "sql.gz", "follows what it did"),
        (b"", "sql", "is empty"),
        (b"PGDMP\1\x63\0" + bytes(100), "dump", "archive version is 1.99-0"),
        (b"PGDMP\1\x10\0" + bytes(100), "dump", "pg_restore: "),
        (QUICK, "dump", "is no dump in pg_dump's custom format"),
        (gzip.compress(HEAD + b"-" * (1 << 20) + TAIL), "sql.gz", "more than the 100000 bytes"),
        (HEAD + b"CREATE TABLE t (a int PRIMARY KEY);\nCOPY t FROM stdin;\n1\n1\n\\.\n" + TAIL, "sql", ""),
    ],
)
def test_a_file_that_is_not_right_is_refused_with_a_reason(depot: Depot, content: bytes, kind: str, words: str) -> None:
    answer = depot.job(content, kind).ask("validate", max_bytes=100_000)
    if words:
        assert (answer["ok"], answer["transient"]) == (False, False)
        assert words in answer["reason"]
        assert answer["hint"]
    else:
        assert answer["ok"], "what only the server knows is found when it is loaded"


def test_a_bomb_leaves_nothing_in_the_spool(depot: Depot) -> None:
    job = depot.job(gzip.compress(b"PGDMP\1\x10\0" + bytes(64 << 20)), "dump.gz")
    assert "more than the 5000000 bytes" in job.ask("validate", max_bytes=5_000_000)["reason"]
    assert sum(path.stat().st_size for path in job.folder.iterdir()) < 100_000


def test_a_load_that_fails_names_the_line_and_not_what_is_in_it(depot: Depot, scratch: str) -> None:
    double = b"CREATE TABLE t (a text PRIMARY KEY);\nCOPY t FROM stdin;\nsecret1\nsecret2\nsecret1\n\\.\n"
    answer = depot.job(HEAD + double + TAIL, "sql").ask("load", database=scratch)
    assert answer["reason"] == 'line 14, line 3 of its data: duplicate key value violates unique constraint "t_pkey"'
    wrong = b"CREATE TABLE u (a int);\nINSERT INTO u VALUES (1);\nINSERT INTO u VALUES ('secret');\n"
    answer = depot.job(HEAD + wrong + TAIL, "sql").ask("load", database=scratch)
    assert answer["reason"] == "line 15: invalid input syntax for type integer"
    assert "secret" not in depot.log()
    missing = b"CREATE TABLE v (a nowhere.hstore);\n"
    answer = depot.job(HEAD + missing + TAIL, "sql").ask("load", database=scratch)
    assert answer["reason"] == 'line 13: schema "nowhere" does not exist'
    open_end = b"BEGIN;\nCREATE TABLE w (a int);\n"
    answer = depot.job(HEAD + open_end + TAIL, "sql").ask("load", database=scratch)
    assert "leaves a transaction open" in answer["reason"]
