"""Point-in-time recovery with real containers: what is archived, how it comes back, and what is refused with reason."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Docker
from tests.database.archived import HERE, PATIENCE, Archived
from tests.database.conftest import PASSWORDS, Database

SEGMENTS = "/there/repository/archive/main/17-1/0000000100000000"


@pytest.fixture
def archived(database: Database) -> Iterator[Archived]:
    """A database with an archive, not started yet."""
    ours = Archived(database)
    yield ours
    database.remove()


def state(archived: Archived) -> dict[str, Any]:
    """What the server tells of its archive."""
    said = archived.database.over_tcp("backup_ro", PASSWORDS["backup_ro"], "SELECT public.archive_state()", "postgres")
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def test_a_moment_comes_back_in_a_new_volume_and_goes_on_archiving_there(archived: Archived) -> None:
    archived.begin()
    archived.add("kept")
    moment = archived.moment()
    archived.add("regretted")
    assert archived.window("seal")["sealed"] is True
    assert state(archived) == {"trouble": "", "gaps": []}

    volume = archived.restored(moment)
    assert archived.names() == "kept,regretted", "the live server saw nothing of it"
    archived.swap(volume)
    archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.names() == "kept"
    archived.database.wait_for("backup made", seconds=PATIENCE)
    assert archived.event("backup made")["kind"] == "full"
    (old, new) = archived.window("seal")["windows"]
    assert (old["timeline"], new["timeline"]) == (1, 2)


@pytest.mark.slow
def test_each_timeline_is_reached_and_the_end_of_the_archive_is_the_newest_ones(archived: Archived) -> None:
    archived.begin()
    archived.add("first")
    before = archived.moment()
    archived.add("replaced")
    archived.window("seal")
    archived.swap(archived.restored(before))
    archived.database.wait_for("backup made", seconds=PATIENCE)
    archived.add("second")
    between = archived.moment()
    archived.add("third")
    archived.window("seal")
    for to, wanted in ((between, "first,second"), ("latest", "first,second,third"), (before, "first")):
        archived.swap(archived.restored(to), "-e", "PITR=false")
        archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
        assert archived.names() == wanted, to


@pytest.mark.slow
def test_a_lost_volume_is_not_replaced_by_an_empty_one_and_comes_back_from_the_archive(archived: Archived) -> None:
    archived.begin()
    archived.add("committed")
    archived.window("seal")
    archived.database.docker("rm", "-f", archived.database.name)
    archived.inside(archived.database.data, "rm -rf /there/*")
    archived.database.create("-v", f"{archived.archive}:{HERE}", "-e", "PITR=true")
    assert archived.database.ended() == 1
    assert "make restore-pit TO=latest" in archived.database.messages()[-1]
    assert archived.inside(archived.database.data, "ls /there") == "lock"

    archived.swap(archived.restored("latest"))
    archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.names() == "committed"


@pytest.mark.slow
def test_moments_out_of_reach_are_refused_with_what_can_be_reached(archived: Archived) -> None:
    archived.begin()
    archived.add("one")
    archived.window("seal")
    (span,) = archived.window()["windows"]
    for to in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):
        said = archived.refused(to)
        assert f"{to} cannot be reached; what can be reached is {span['from']} to {span['until']}" in said
    assert "make restore-pit TO=" in archived.refused("2020-01-01T00:00:00Z")


@pytest.mark.slow
def test_a_missing_segment_is_a_gap_that_is_alarmed_answered_and_not_restored_over(archived: Archived) -> None:
    archived.begin()
    archived.add("before the gap")
    archived.window("seal")
    archived.add("in the gap")
    moment = archived.moment()
    archived.window("seal")
    archived.add("after the gap")
    archived.window("seal")
    lost = archived.inside(
        archived.archive, f"ls {SEGMENTS.replace(HERE, '/there')} | grep zst | tail -n 2 | head -n 1"
    )
    archived.inside(archived.archive, f"rm {SEGMENTS.replace(HERE, '/there')}/{lost}")

    archived.database.wait_for("the archive has a gap", seconds=PATIENCE)
    assert archived.event("the archive has a gap")["first"] == lost[:24]
    archived.database.until(lambda: state(archived)["gaps"] == [[lost[:24]] * 2], "gap that the server tells of")
    archived.database.wait_for("backup made", times=2, seconds=PATIENCE)
    assert archived.event("backup made")["kind"] == "full"
    spans = archived.window("seal")["windows"]
    assert len(spans) == 2
    within = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1))
    assert spans[0]["until"] < within
    said = archived.refused("2020-01-01T00:00:00Z")
    assert f"{spans[0]['from']} to {spans[0]['until']}, and {spans[1]['from']} to" in said
    archived.restored(min(moment, spans[0]["from"]) if moment < spans[0]["until"] else "latest")
    archived.swap(archived.restored("latest"))
    archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.names() == "after the gap,before the gap,in the gap", "the new full backup has everything"


@pytest.mark.slow
def test_a_segment_that_was_altered_is_found_and_the_restore_refused(archived: Archived) -> None:
    archived.begin()
    archived.add("one")
    archived.window("seal")
    archived.add("two")
    moment = archived.moment()
    archived.window("seal")
    names = archived.inside(archived.archive, f"ls {SEGMENTS} | grep zst").splitlines()
    archived.inside(archived.archive, f"truncate -s -20 {SEGMENTS}/{names[-1]}")
    for to in ("latest", moment):
        said = archived.refused(to)
        assert f"the archive holds segments up to {names[-1][:24]}, but the recovery came to {names[-2][:24]}" in said


@pytest.mark.slow
def test_an_archive_that_takes_nothing_never_stops_the_server_and_what_it_lets_go_of_is_a_gap(
    archived: Archived,
) -> None:
    archived.begin("-e", "PITR_QUEUE_MB=32")
    archived.add("archived")
    archived.window("seal")
    archived.inside(archived.archive, "mv /there/repository /there/gone && mkdir /there/repository")
    switch = "SELECT pg_logical_emit_message(true, 'test', repeat('x', 100)); SELECT pg_switch_wal()"
    for _ in range(6):
        archived.database.sql(switch)
    archived.database.wait_for("archiving fails", seconds=PATIENCE)
    archived.database.wait_for("because archive queue exceeded", seconds=PATIENCE)
    archived.database.until(lambda: state(archived)["trouble"] != "", "trouble that the server tells of")
    archived.add("meanwhile")
    archived.inside(archived.archive, "rmdir /there/repository && mv /there/gone /there/repository")
    archived.database.sql(switch)
    archived.database.wait_for("archiving works again", seconds=PATIENCE)
    archived.database.wait_for("the archive has a gap", seconds=PATIENCE)
    archived.database.until(lambda: state(archived)["trouble"] == "", "archive that the server calls well")
    archived.database.wait_for("backup made", times=2, seconds=PATIENCE)
    archived.swap(archived.restored("latest"))
    archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.names() == "archived,meanwhile"


@pytest.mark.slow
def test_a_restore_that_was_killed_is_swept_and_done_again_and_a_done_one_is_not(archived: Archived) -> None:
    archived.begin()
    archived.add("one")
    archived.window("seal")
    volume = archived.volume("new")
    name = f"{archived.database.name}-job"
    archived.database.docker(
        "run", "-d", "--name", name, *archived.database.hardened("--network", "none"),
        "-v", f"{volume}:/var/lib/postgresql", "-v", f"{archived.archive}:{HERE}", "-e", "RESTORE_TO=latest",
        archived.database.image, "python3", "-m", "server", "restore",
    )  # fmt: skip
    archived.database.wait_for("fetching the backup", name=name)
    archived.database.docker("rm", "-f", name)
    assert archived.inside(volume, "ls -d /there/data || true") == ""
    code, lines = archived.restore("latest", volume)
    assert code == 0
    assert "removed a restore that was interrupted" in [each["event"] for each in lines]
    code, lines = archived.restore("latest", volume)
    assert (code, lines[-1]["event"]) == (0, "this volume has been restored before: nothing is done")
    archived.swap(volume)
    archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.restore("latest", volume)[0] == 0, "a job that runs again finds the server at work, and is done"
    code, lines = archived.restore("2026-01-01T00:00:00Z", volume)
    assert code == 1
    assert "the volume holds what was restored to latest" in lines[-1]["event"]


@pytest.mark.slow
def test_a_volume_with_a_cluster_of_its_own_is_never_restored_into(archived: Archived) -> None:
    archived.begin()
    for verb in ("restart", "stop"):
        code, lines = archived.restore("latest", archived.database.data)
        assert (code, "the volume holds a cluster" in lines[-1]["event"]) == (1, True)
        archived.database.docker(verb, archived.database.name)
    archived.database.docker("start", archived.database.name)
    archived.database.wait_for("ready to accept connections", times=3, seconds=PATIENCE)


@pytest.mark.slow
def test_an_empty_volume_that_was_to_be_restored_is_refused(archived: Archived) -> None:
    archived.swap(archived.volume("empty"))
    assert archived.database.ended() == 1
    assert "databaseVolume names it" in archived.database.messages()[-1]


@pytest.mark.slow
def test_a_killed_archivist_is_started_again_and_the_server_serves_on(archived: Archived) -> None:
    archived.begin()
    rows = archived.database.docker("top", archived.database.name, "-eo", "pid,args").splitlines()
    (pid,) = [int(row.split()[0]) for row in rows if "-m server archive" in row]
    archived.database.kill_host_process(pid)
    archived.database.wait_for("the archivist has ended and is started again")
    archived.database.wait_for("the archive works", times=2, seconds=PATIENCE)
    archived.add("served")


@pytest.mark.slow
def test_a_stop_is_clean_with_a_backup_under_way(archived: Archived) -> None:
    archived.start()
    archived.database.wait_for("the archive works", seconds=PATIENCE)
    archived.database.sql(
        "CREATE TABLE wide AS SELECT repeat(md5(i::text), 200) FROM generate_series(1, 60000) i", "postgres"
    )
    began = time.monotonic()
    archived.database.docker("stop", "-t", "20", archived.database.name)
    assert time.monotonic() - began < 20
    assert int(archived.database.state("ExitCode")) == 0
    assert archived.database.messages()[-1] == "the server has ended"


def test_too_little_memory_for_archiving_is_refused_by_name(archived: Archived) -> None:
    archived.database.create("-v", f"{archived.archive}:{HERE}", "-e", "PITR=true", "-e", "MEMORY_LIMIT_MB=160")
    assert archived.database.ended() == 1
    assert "databaseMemory" in archived.database.messages()[-1]


@pytest.mark.slow
def test_the_restored_server_is_reached_by_nobody_and_archives_nothing(archived: Archived, docker: Docker) -> None:
    archived.begin()
    archived.window("seal")
    before = archived.inside(archived.archive, "find /there/repository/archive | sort")
    volume = archived.restored("latest")
    assert archived.inside(archived.archive, "find /there/repository/archive | sort") == before
    auto = archived.inside(volume, "cat /there/data/postgresql.auto.conf; ls /there/data | grep signal || true")
    assert auto == "# Settings come from postgresql.conf alone."
    receipt = json.loads(archived.inside(volume, "cat /there/restored.json"))
    assert receipt["rows"] == {"scaffold": 0}
    assert receipt["timeline"] == 2
