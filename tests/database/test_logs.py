"""Everything the container prints is a JSON line of the project's form, and none carries a value."""

from __future__ import annotations

import re
from typing import Any

SECRET = "correct-horse-battery"


def test_every_line_is_json_in_the_projects_form(shared: Any) -> None:
    lines = shared.lines()
    assert lines
    for item in lines:
        assert list(item)[:4] == ["timestamp", "level", "logger", "event"]
        assert item["logger"] == "database"
        assert item["level"] in {"debug", "info", "warning", "error", "critical"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", item["timestamp"])
    messages = [item["event"] for item in lines]
    assert any("performing post-bootstrap initialization" in text for text in messages), "initdb's own words"
    assert any("redirecting log output" in text for text in messages), "what the server says before its collector runs"


def test_no_password_verifier_or_value_is_logged(shared: Any, passwords: dict[str, str], document: Any) -> None:
    shared.sql("CREATE TABLE account (email text PRIMARY KEY, age int CHECK (age > 0)); GRANT ALL ON account TO app")
    failing = [
        f"ALTER ROLE missing PASSWORD '{SECRET}'",
        f"INSERT INTO account VALUES ('{SECRET}', 1), ('{SECRET}', 1)",  # noqa: S608
        f"INSERT INTO account VALUES ('{SECRET}', -1)",  # noqa: S608
        f"SELECT '{SECRET}'::int",
        f"SELECT E'it\\'s {SECRET}', nothing",
        f"DO $body$ BEGIN PERFORM '{SECRET}'::int; END $body$",
        f"SELECT pg_sleep(2.1), '{SECRET}'",
        f"PREPARE p(text) AS SELECT $1::int; EXECUTE p('{SECRET}')",
        f"COPY account FROM PROGRAM 'echo {SECRET}'",
    ]
    for statement in failing:
        shared.over_tcp("app_a", passwords["app_a"], statement)
    assert shared.over_tcp("app_a", SECRET, "SELECT 1").returncode != 0
    shared.roles(document(app_b=SECRET + "-new"))
    shared.roles(document())
    shared.sql("DROP TABLE account; SELECT pg_sleep(0); DO $$ BEGIN RAISE LOG 'end of the test'; END $$")
    shared.wait_for("end of the test")

    printed = [item for item in shared.lines() if item["event"] != "end of the test"]
    leaks = [item for item in printed if SECRET in str(item) or "SCRAM-SHA-256$" in str(item)]
    assert not leaks
    text = str(printed)
    assert not [password for password in passwords.values() if password in text]
    states = {item.get("sqlstate") for item in printed}
    assert {"42704", "23505", "23514", "22P02", "28P01"} <= states, "the errors themselves are in the log"
    assert any(str(item["event"]).startswith("duration: ") for item in printed), "slow statements are in the log"


def test_the_log_directory_stays_small_under_a_flood(shared: Any) -> None:
    shared.sql("DO $$ BEGIN FOR i IN 1..12000 LOOP RAISE LOG 'flood % %', i, repeat('x', 500); END LOOP; END $$")
    shared.wait_for("flood 12000 ")
    assert len([text for text in shared.messages() if text.startswith("flood ")]) == 12000
    kilobytes = "du -sk /var/lib/postgresql/log | cut -f1"
    shared.until(lambda: int(shared.docker("exec", shared.name, "sh", "-c", kilobytes)) < 4096, "small directory")
