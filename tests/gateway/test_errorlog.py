"""Nginx's error log as JSON lines."""

from __future__ import annotations

import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watcher import errorlog, journal

ENTRY = (
    "2026/01/02 03:04:05 [error] 12#12: *34 connect() failed (111: Connection refused) while connecting to upstream, "
    'client: 10.0.0.1, server: site.test, request: "GET /sls?SAMLResponse=secret HTTP/1.1", '
    'upstream: "http://10.0.0.2:8000/sls?SAMLResponse=secret", host: "site.test", referrer: "http://x/?y=secret"'
)


def test_an_entry_becomes_fields_without_queries() -> None:
    level, message, fields = errorlog.fields(ENTRY)
    assert level == "error"
    assert message == "connect() failed (111: Connection refused) while connecting to upstream"
    assert fields["request"] == "GET /sls?… HTTP/1.1"
    assert fields["upstream"] == "http://10.0.0.2:8000/sls?…"
    assert (fields["pid"], fields["connection"], fields["host"]) == (12, 34, "site.test")
    assert "secret" not in str(fields)


def test_a_referrer_forges_no_field_of_an_entry() -> None:
    _, _, fields = errorlog.fields(
        ENTRY.replace("http://x/?y=secret", 'http://x/", client: 6.6.6.6, server: "evil.test')
    )
    assert (fields["client"], fields["server"]) == ("10.0.0.1", "site.test")


def test_a_quotation_mark_in_a_query_does_not_end_it() -> None:
    _, _, fields = errorlog.fields(ENTRY.replace("SAMLResponse=", """a='b"c",d&SAMLResponse="""))
    assert "secret" not in str(fields)
    assert (fields["request"], fields["host"]) == ("GET /sls?… HTTP/1.1", "site.test")


def test_lines_that_begin_no_entry_belong_to_the_one_before() -> None:
    text = f"{ENTRY}\nstack traceback:\n  in function\n{ENTRY}\n"
    assert [entry.count("\n") for entry in errorlog.entries(text)] == [2, 0]


@given(st.text())
def test_whatever_nginx_says_is_one_short_json_line_each(text: str) -> None:
    for entry in errorlog.entries(text):
        level, message, fields = errorlog.fields(entry)
        written = journal.line(level, "gateway.nginx", message, fields)
        assert json.loads(written)["level"] == level
        assert "\n" not in written
        assert len(written) <= 4000


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=6000), max_size=5), st.text(max_size=9000))
def test_a_line_that_is_too_long_is_cut_and_still_json(fields: dict[str, str], event: str) -> None:
    written = journal.line("info", "x", event, fields)
    assert len(written) <= 4000
    assert isinstance(json.loads(written), dict)


def test_a_pipe_is_followed_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(journal, "write", lambda _level, _logger, event, **_fields: told.append(event))
    reading, writing = os.pipe()
    thread = threading.Thread(target=errorlog.follow, args=(reading,))
    thread.start()
    half = len(ENTRY) // 2
    os.write(writing, ENTRY[:half].encode())
    os.write(writing, (ENTRY[half:] + "\n" + ENTRY + "\n").encode())
    os.close(writing)
    thread.join(10)
    os.close(reading)
    assert told == ["connect() failed (111: Connection refused) while connecting to upstream"] * 2
