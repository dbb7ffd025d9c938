"""What `make maintenance` means before anything is changed: times in their zones, ranges, words, and the link."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watcher import maintenance as watcher

from infra import gateway
from infra.platforms.kubernetes import flag as of_program
from operate import maintenance, platforms
from operate.docker.maintenance import problem_in, running
from operate.flag import Flag, Order, flag_from
from operate.kubernetes import maintenance as in_cluster
from operate.maintenance import begin, expected_end, networks, told, way_past
from operate.request import Request
from setup.places import places_from
from setup.problem import Problem
from setup.terminal import Silent
from tests.conftest import ROOT

NOW = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.UTC).timestamp()


@pytest.fixture
def new_york() -> Iterator[None]:
    """This machine, in New York."""
    former = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    if former is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = former
    time.tzset()


def utc(text: str) -> int:
    return int(datetime.datetime.fromisoformat(f"{text}+00:00").timestamp())


@pytest.mark.parametrize(
    ("until", "moment", "words"),
    [
        ("2026-11-25 22:00", "2026-11-26 03:00", "25 November 2026, 22:00 (UTC-05:00)"),
        ("2026-11-25T22:00 UTC", "2026-11-25 22:00", "25 November 2026, 22:00 (UTC)"),
        ("2026-11-25 22:00Z", "2026-11-25 22:00", "25 November 2026, 22:00 (UTC)"),
        ("2026-11-25 22:00 +05:30", "2026-11-25 16:30", "25 November 2026, 22:00 (UTC+05:30)"),
        ("2026-11-25 22:00-0330", "2026-11-26 01:30", "25 November 2026, 22:00 (UTC-03:30)"),
        (" 2026-11-25 22:00 Europe/Berlin ", "2026-11-25 21:00", "25 November 2026, 22:00 (Europe/Berlin, UTC+01:00)"),
        ("2027-07-01 00:30 Europe/Berlin", "2027-06-30 22:30", "1 July 2027, 00:30 (Europe/Berlin, UTC+02:00)"),
    ],
)
@pytest.mark.usefixtures("new_york")
def test_an_end_without_a_zone_is_in_this_machines_own_time_and_else_in_its_zone(
    until: str, moment: str, words: str
) -> None:
    expected = expected_end(until, NOW)
    assert (expected.seconds, expected.words) == (utc(moment), words)


@pytest.mark.parametrize(
    ("until", "words"),
    [
        ("tomorrow", "got 'tomorrow', which is no date and time"),
        ("2026-11-31 22:00", "no date and time"),
        ("2026-11-25 24:00", "no date and time"),
        ("2026-11-25", "no date and time"),
        ("2026-11-25 22:00 Mars/Olympus", "time zone 'Mars/Olympus' is not known"),
        ("2026-11-25 22:00 ../../etc/passwd", "is not known"),
        ("2026-11-25 22:00 +25:00", "time zone '+25:00' is not known"),
        ("2026-11-25 07:00", "which has passed: it is 2026-11-25 07:00 there"),
        ("2026-11-25 12:00 UTC", "which has passed: it is 2026-11-25 12:00 there"),
        ("2062-11-25 22:00", "more than 366 days ahead"),
        ("2027-03-14 02:30", "which never comes: the clocks change that night"),
        ("2027-11-07 01:30", "which comes twice"),
        ("2027-03-28 02:30 Europe/Berlin", "never comes"),
        ("2027-10-31 02:30 Europe/Berlin", "comes twice"),
    ],
)
@pytest.mark.usefixtures("new_york")
def test_an_end_that_cannot_be_meant_is_refused_with_the_way_to_say_it(until: str, words: str) -> None:
    with pytest.raises(Problem) as caught:
        expected_end(until, NOW if "2027" not in until else utc("2026-12-25 12:00"))
    assert words in caught.value.cause
    assert "UNTIL=" in caught.value.fix


def test_no_end_is_fine() -> None:
    assert expected_end("  ", NOW) == maintenance.Expected()


@pytest.mark.parametrize(
    ("given_ranges", "found"),
    [
        ("", ()),
        ("203.0.113.0/24", ("203.0.113.0/24",)),
        ("203.0.113.7, 2001:db8::/48 203.0.113.7,", ("203.0.113.7/32", "2001:db8::/48")),
    ],
)
def test_address_ranges_are_read_with_commas_or_blanks(given_ranges: str, found: tuple[str, ...]) -> None:
    assert networks(given_ranges) == found


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ("0.0.0.0/0", "which lets everybody past"),
        ("10.0.0.0/8,::/0", "got '::/0', which lets everybody past"),
        ("10.0.0.1/8", "got '10.0.0.1/8', which is no address range (10.0.0.1/8 has host bits set)"),
        ("example.com", "got 'example.com', which is no address range"),
        ("fe80::1%eth0", "no address range"),
        (" ".join(f"10.0.0.{number}" for number in range(65)), "ALLOW has 65 ranges"),
    ],
)
def test_a_range_that_is_none_or_is_everybody_is_refused(ranges: str, words: str) -> None:
    with pytest.raises(Problem) as caught:
        networks(ranges)
    assert words in caught.value.cause


@given(st.text(max_size=1100))
def test_what_the_verb_takes_the_watcher_takes_too(message: str) -> None:
    try:
        flag, value = begin({"MESSAGE": message, "ALLOW": "10.0.0.0/8"}, NOW)
    except Problem:
        return
    taken = watcher.parse(json.dumps(flag.document()))
    assert taken.document() == flag.document()
    assert flag_from(json.loads(watcher.text(taken))) == flag
    assert taken.bypass_digest == hashlib.sha256(value.encode()).hexdigest()
    assert taken.allow == ("10.0.0.0/8",)


def test_what_is_let_past_is_another_value_each_time_and_nothing_of_it_is_in_the_flag() -> None:
    made = [begin({}, NOW) for _ in range(20)]
    assert len({value for _, value in made}) == len({flag.id for flag, _ in made}) == 20
    for flag, value in made:
        identity, until, signature = value.split(".")
        assert (identity, int(until)) == (flag.id, flag.bypass_until)
        assert len(signature) == 43
        assert signature not in json.dumps(flag.document())
        assert flag.bypass_until == NOW + 24 * 3600


def test_staff_are_let_past_for_a_day_or_until_half_a_day_after_a_later_end() -> None:
    flag, value = begin({"UNTIL": "2026-11-28 12:00 UTC"}, NOW)
    assert flag.bypass_until == utc("2026-11-29 00:00")
    said = way_past(flag, value, "https://site.test/")
    assert said[1].strip() == f"https://site.test/gateway/staff?pass={value}"
    assert value not in "\n".join(told(flag, "dev"))


def test_what_is_on_is_told_with_all_that_was_said() -> None:
    flag, _ = begin({"MESSAGE": "one\ntwo", "ALLOW": "203.0.113.0/24", "UNTIL": "2026-11-26 12:00 UTC"}, NOW)
    said = "\n".join(told(flag, "dev"))
    for part in (
        "one\n         two",
        "26 November 2026, 12:00 (UTC)",
        "203.0.113.0/24",
        "make maintenance OFF STACK=dev",
    ):
        assert part in said
    assert told(None, "dev") == ["No maintenance is on: the stack dev serves everybody."]


class Place:
    """A platform that keeps what it was ordered."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def maintenance(self, _request: Request, order: Order) -> Flag | None:
        self.orders.append(order)
        return order.flag


def asked(tmp_path: Path, *words: str, **variables: str) -> Request:
    environment = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)} | variables
    return Request("maintenance", "dev", words, places_from(environment, ROOT), environment, Silent())


@pytest.mark.parametrize(
    ("words", "variables", "cause"),
    [
        (["on"], {}, "make maintenance got 'on'"),
        (["ON", "OFF"], {}, "make maintenance got 'ON OFF'"),
        (["OFF"], {"MESSAGE": "x"}, "MESSAGE goes with make maintenance ON alone"),
        ([], {"UNTIL": "x", "ALLOW": "y"}, "UNTIL, ALLOW goes with make maintenance ON alone"),
        (["ON"], {"UNTIL": "2020-01-01 00:00"}, "which has passed"),
        (["ON"], {"ALLOW": "everybody"}, "no address range"),
        (["ON"], {"MESSAGE": "x" * 1001}, "MESSAGE has 1001 characters"),
        (["ON"], {"MESSAGE": "a\x1b[2J"}, "MESSAGE holds the control character"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_platform_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], variables: dict[str, str], cause: str
) -> None:
    place = Place()
    monkeypatch.setattr(platforms, "of", lambda _: place)
    with pytest.raises(Problem) as caught:
        maintenance.run(asked(tmp_path, *words, **variables))
    assert cause in caught.value.cause
    assert place.orders == []


def test_on_off_and_nothing_are_three_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place()
    monkeypatch.setattr(platforms, "of", lambda _: place)
    for words in (["ON"], ["OFF"], []):
        assert maintenance.run(asked(tmp_path, *words)) == 0
    assert [(order.look, order.flag is not None) for order in place.orders] == [
        (False, True), (False, False), (True, False),
    ]  # fmt: skip


def test_the_verb_writes_the_flag_where_the_program_declares_it() -> None:
    assert of_program.object_name(gateway.NAME) == in_cluster.NAME
    assert gateway.FLAG.rpartition("/")[2] == in_cluster.ENTRY
    assert (in_cluster.GATEWAY, in_cluster.PORT) == (gateway.NAME, gateway.PORT)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('{"level":"info"}\r\n{"problem":"no such thing"}\r\n', "no such thing"),
        ("usage: python3 -m watcher\r\n", "usage: python3 -m watcher"),
        ("", "it said nothing"),
        ("[]", "[]"),
    ],
)
def test_why_the_gateway_refused_is_told_in_its_own_words(said: str, reason: str) -> None:
    assert problem_in(said) == reason


def test_a_gateway_that_does_not_run_is_no_gateway() -> None:
    with pytest.raises(Problem, match="does not run; nothing was changed"):
        running([], "dev")


def make(folder: Path, *goals: str) -> tuple[int, str]:
    """Run make with an interpreter that only tells what it was given."""
    program = folder / "python"
    program.write_text('#!/bin/sh\necho "ran: $*"\n')
    program.chmod(0o755)
    command = [str(shutil.which("make")), "--no-print-directory", f"PYTHON={program}", *goals]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("goals", "code", "said"),
    [
        (["maintenance"], 0, "ran: -m operate maintenance"),
        (["maintenance", "ON"], 0, "ran: -m operate maintenance ON"),
        (["OFF", "maintenance"], 0, "ran: -m operate maintenance OFF"),
        (["maintenance", "ON", "OFF"], 0, "ran: -m operate maintenance ON OFF"),
        (["ON"], 2, "Say: make maintenance ON"),
        (["status", "OFF"], 2, "Say: make maintenance OFF"),
    ],
)
def test_on_and_off_are_words_after_the_verb_and_nothing_by_themselves(
    tmp_path: Path, goals: list[str], code: int, said: str
) -> None:
    found: tuple[int, Any] = make(tmp_path, *goals)
    assert found[0] == code
    assert next(line for line in found[1].splitlines() if "maintenance" in line) == said
    assert "operate ON" not in found[1]
