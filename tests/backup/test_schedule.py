"""The schedule: when a run is due, whatever clocks and crashes do."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup import cron, timetable
from backup.state import State, read
from tests.conftest import until

BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ZONES = st.sampled_from([UTC, BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("Australia/Lord_Howe")])
EXPRESSIONS = st.sampled_from(
    [
        "* * * * *",
        "30 3 * * *",
        "*/15 2 * * *",
        "0 2,3 * * 1-5",
        "5 4 29 2 *",
        "0 12 13 * fri",
        "59 23 31 */2 *",
        "0 1 * * sun",
    ]
)


def local(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@given(EXPRESSIONS, MOMENTS, ZONES)
def test_the_next_is_after_the_last_is_not_and_nothing_is_between(expression: str, now: datetime, zone: Any) -> None:
    schedule = cron.parse(expression)
    following, last = cron.after(schedule, now, zone), cron.latest(schedule, now, zone)
    assert last <= now < following
    assert cron.after(schedule, last, zone) == following
    assert cron.latest(schedule, following, zone) == following
    assert cron.latest(schedule, following - timedelta(seconds=1), zone) == last


@pytest.mark.parametrize(
    ("expression", "now", "following"),
    [
        ("30 3 * * *", "2026-11-26 03:30", "2026-11-27 03:30"),
        ("@daily", "2026-11-26 00:00", "2026-11-27 00:00"),
        ("0 4 * * mon", "2026-11-26 12:00", "2026-11-30 04:00"),
        ("0 4 13 * fri", "2026-11-26 12:00", "2026-11-27 04:00"),
        ("0 4 13 * *", "2026-11-26 12:00", "2026-12-13 04:00"),
        ("0 4 29 feb *", "2026-11-26 12:00", "2028-02-29 04:00"),
        ("10-30/10 5 1 1,7 *", "2026-07-01 05:25", "2026-07-01 05:30"),
        # The night when clocks go forward has no 02:30, the one when they go back has two.
        ("30 2 * * *", "2026-03-28 12:00", "2026-03-29 03:30"),
        ("30 2 * * *", "2026-10-24 12:00", "2026-10-25 02:30"),
        ("30 2 * * *", "2026-10-25 02:30", "2026-10-26 02:30"),
    ],
)
def test_expressions_mean_what_cron_means(expression: str, now: str, following: str) -> None:
    # In UTC: of a wall-clock time that there is twice, nothing in another zone is the equal.
    assert cron.after(cron.parse(expression), local(now), BERLIN) == local(following).astimezone(UTC)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "wanted five fields"),
        ("60 * * * *", "minute: got '60'"),
        ("* 5-2 * * *", "hour: got '5-2'"),
        ("* * 0 * *", "day of month"),
        ("* * * smarch *", "month: got 'smarch'"),
        ("*/0 * * * *", "minute"),
        ("0 0 31 2 *", "on no day"),
        ("0 0 * * 8", "day of week"),
        ("1-٣ * * * *", "minute"),
    ],
)
def test_what_means_nothing_is_refused_by_its_field(expression: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cron.parse(expression)


NIGHTLY = cron.parse("30 3 * * *")
NOON = local("2026-11-26 12:00")


def state(**fields: Any) -> State:
    return State(**{"last_result": "success", **fields})


def test_the_first_run_is_at_once_and_a_missed_one_is_made_up_for_once() -> None:
    assert timetable.decide(NIGHTLY, BERLIN, NOON, State()).run
    week_ago = (NOON - timedelta(days=7)).timestamp()
    assert timetable.decide(NIGHTLY, BERLIN, NOON, state(last_run=week_ago)).run
    decided = timetable.decide(NIGHTLY, BERLIN, NOON, state(last_run=NOON.timestamp() - 60))
    assert (decided.run, decided.next) == (False, local("2026-11-27 03:30"))


def test_a_run_longer_than_its_time_does_not_start_another() -> None:
    ended = local("2026-11-26 11:59").timestamp()
    assert not timetable.decide(NIGHTLY, BERLIN, NOON, state(last_run=ended)).run


def test_failures_are_tried_again_three_times_further_and_further_apart() -> None:
    failed = local("2026-11-26 03:31")
    for tries, minutes in ((1, 5), (2, 15), (3, 60)):
        after = state(last_run=failed.timestamp(), last_result="failure", failures_in_a_row=tries)
        early = timetable.decide(NIGHTLY, BERLIN, failed + timedelta(minutes=minutes - 1), after)
        assert (early.run, early.next) == (False, failed + timedelta(minutes=minutes))
        assert timetable.decide(NIGHTLY, BERLIN, failed + timedelta(minutes=minutes), after).run
    given_up = state(last_run=failed.timestamp(), last_result="failure", failures_in_a_row=4)
    assert not timetable.decide(NIGHTLY, BERLIN, NOON, given_up).run
    assert timetable.decide(NIGHTLY, BERLIN, NOON + timedelta(days=1), given_up).run


def test_a_last_run_that_is_yet_to_come_does_not_hold_the_next_one_back() -> None:
    assert timetable.decide(NIGHTLY, BERLIN, NOON, state(last_run=NOON.timestamp() + 10**8)).run


@given(st.lists(st.floats(0, 60 * 24 * 14), max_size=40))
def test_no_time_passes_unserved_however_it_is_looked_at(minutes: list[float]) -> None:
    last = NOON - timedelta(minutes=1)
    for moment in sorted(minutes):
        now = NOON + timedelta(minutes=moment)
        decided = timetable.decide(NIGHTLY, BERLIN, now, state(last_run=last.timestamp()))
        assert decided.run == (last < cron.latest(NIGHTLY, now, BERLIN))
        last = now if decided.run else last


def test_what_a_newer_image_has_noted_is_read_as_far_as_it_is_known_here(tmp_path: Path) -> None:
    (tmp_path / ".state.json").write_text(json.dumps({"last_run": 5.0, "last_result": "success", "of_tomorrow": [1]}))
    assert read(tmp_path) == State(last_run=5.0, last_result="success")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a word"', "\x00"])
def test_a_state_that_cannot_be_read_counts_as_a_failure(tmp_path: Path, text: str) -> None:
    (tmp_path / ".state.json").write_text(text)
    assert (read(tmp_path).last_result, read(tmp_path).last_run) == ("failure", 0.0)


def test_a_stale_backup_is_overdue_also_when_there_never_was_one() -> None:
    day = timedelta(hours=26)
    assert not timetable.overdue(state(last_success=NOON.timestamp() - 3600), NOON, NOON, day)
    assert timetable.overdue(state(last_success=NOON.timestamp() - 3600 * 27), NOON, NOON, day)
    assert timetable.overdue(State(), NOON, NOON - timedelta(hours=27), day)
    assert not timetable.overdue(State(), NOON, NOON, day)


SUNDAYS = cron.parse("0 5 * * sun")


def drill_due(now: datetime, *, sealed: bool = False, **fields: Any) -> bool:
    known = {"last_success": 1.0, "first_run": NOON.timestamp()}
    return timetable.drill_due(SUNDAYS, BERLIN, now, state(**{**known, **fields}), sealed=sealed)


def test_a_drill_is_due_once_a_week_and_a_missed_one_is_made_up_for() -> None:
    sunday = local("2026-11-29 05:00")
    assert not drill_due(sunday - timedelta(minutes=1))
    assert drill_due(sunday)
    assert drill_due(sunday + timedelta(days=5))
    assert not drill_due(sunday + timedelta(days=5), last_drill=sunday.timestamp() + 60, last_drill_result="success")
    assert drill_due(sunday, last_drill=sunday.timestamp() + 10**8), "the clock was wrong"
    assert not drill_due(sunday, last_success=0.0), "there is nothing to try yet"


def test_the_first_encrypted_backup_is_tried_at_once_and_a_failing_drill_every_day() -> None:
    assert drill_due(NOON, sealed=True)
    tried = {"last_drill": NOON.timestamp()}
    assert not drill_due(NOON + timedelta(hours=1), sealed=True, **tried, last_drill_result="success")
    assert not drill_due(NOON + timedelta(hours=23), sealed=True, **tried, last_drill_result="failure")
    assert drill_due(NOON + timedelta(hours=24), sealed=True, **tried, last_drill_result="failure")


def test_the_service_catches_up_writes_metrics_and_stops_when_told(desk: Any) -> None:
    place = {"BACKUP_SCHEDULE": "0 5 1 1 *", "BACKUP_METRICS_FILE": f"/backups/{desk.folder.name}/backup.prom"}
    with subprocess.Popen(
        desk.command("schedule", **place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        metrics = desk.folder / "backup.prom"
        until(metrics.exists, "metrics", 60)
        text = metrics.read_text()
        desk.stage.kill("TERM")
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 143, output
    assert len(desk.good()) == 1, output
    assert 'scaffold_backup_backups{state="restored"} 1' in text
    assert "scaffold_backup_last_run_success 1.000" in text
    assert "scaffold_backup_overdue 0.000" in text


def test_a_stale_backup_alarms_once_though_nothing_runs(desk: Any) -> None:
    now = datetime.now(UTC).timestamp()
    known = {"last_run": now, "last_result": "success", "last_success": now - 30 * 3600, "last_drill": now}
    file = desk.folder / ".state.json"
    file.write_text(json.dumps(known))
    os.chown(file, 10004, 10004)
    place = {"BACKUP_SCHEDULE": "0 5 1 1 *", "BACKUP_WEBHOOK_URL": "http://127.0.0.1:9/x"}
    place["BACKUP_METRICS_FILE"] = f"/backups/{desk.folder.name}/backup.prom"
    with subprocess.Popen(
        desk.command("schedule", **place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        until((desk.folder / "backup.prom").exists, "metrics", 60)
        text = (desk.folder / "backup.prom").read_text()
        desk.stage.kill("TERM")
        output, _ = process.communicate(timeout=30)
    assert "scaffold_backup_overdue 1.000" in text
    assert output.count("no backup has succeeded for too long") == 1
    assert output.count("web hook to 127.0.0.1") == 1
    assert "a run is due" not in output


def test_a_run_that_is_killed_counts_as_a_failure_and_is_tried_later(desk: Any) -> None:
    place = {"BACKUP_SCHEDULE": "0 5 1 1 *", "FAULT_AT": "read:before"}
    with subprocess.Popen(
        desk.command("schedule", **place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        file = desk.folder / ".state.json"

        def failed() -> bool:
            return file.exists() and bool(json.loads(file.read_text())["failures_in_a_row"] == 1)

        until(failed, "failure", 60)
        desk.stage.kill("TERM")
        output, _ = process.communicate(timeout=30)
    assert "a run ended without a result" in output
    assert output.count("a run is due") == 1


def test_an_unusable_schedule_is_refused_by_its_setting(desk: Any) -> None:
    done = desk.run("schedule", BACKUP_SCHEDULE="whenever")
    assert (done.status, done.errors.startswith("BACKUP_SCHEDULE: got 'whenever'")) == (1, True)
    done = desk.run("schedule", BACKUP_DRILL_SCHEDULE="on sundays")
    assert (done.status, done.errors.startswith("BACKUP_DRILL_SCHEDULE: got 'on sundays'")) == (1, True)
    done = desk.run("schedule", BACKUP_TIMEZONE="Middle-earth/Shire")
    assert (done.status, "BACKUP_TIMEZONE: got 'Middle-earth/Shire'" in done.errors) == (1, True)
