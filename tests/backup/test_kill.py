"""Crashes at every step and disks that fill up: never half a backup that counts, never a good one lost."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from typing import Any

import pytest

from tests.conftest import until

POINTS = (
    "begin:before",
    "dump:before",
    "read:before",
    "globals:before",
    "restore:before",
    "encrypt:before",
    "manifest:before",
    "commit:before",
    "commit:after",
    "prune:before",
    "remove:between",
)
FEW = {
    "BACKUP_KEEP_LAST": "2",
    "BACKUP_KEEP_MIN": "2",
    "BACKUP_KEEP_DAILY": "0",
    "BACKUP_KEEP_WEEKLY": "0",
    "BACKUP_KEEP_MONTHLY": "0",
}
AFTER_COMMIT = ("commit:after", "prune:before", "remove:between")


@pytest.fixture(scope="module")
def struck(stage: Any, small: str, made_once: Any) -> Any:
    """One folder that lives through all crashes, with two good backups in it."""
    from tests.backup.conftest import Desk

    desk = Desk(stage, small, "struck")
    desk.give(made_once)
    desk.make()
    return desk


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_step_leaves_only_what_counts_and_what_is_swept(struck: Any, point: str) -> None:
    before = struck.good()
    done = struck.run("run", FAULT_AT=point, **FEW)
    assert done.status == 137, done.text
    good = struck.good()
    if point in AFTER_COMMIT:
        assert good[0] > before[0], "it was made before the kill"
        assert set(before[:1]) <= set(good)
    else:
        assert good == before
    assert struck.run("verify").status == 0, "whatever is listed is whole"
    if point not in ("prune:before", "remove:between"):
        assert struck.run("prune", **FEW).status == 1, "nothing is pruned after a run that did not end"
    assert len([name for name in struck.names() if name.startswith(".")]) <= 1


def test_the_run_after_all_that_sweeps_and_succeeds(struck: Any) -> None:
    before = struck.good()
    struck.run("run", FAULT_AT="restore:before")
    left = [name for name in struck.names() if name.startswith(".")]
    assert left
    done = struck.run("run", **FEW)
    assert done.status == 0, done.text
    assert [line["name"] for line in done.lines if "killed run left" in line["event"]] == left
    assert struck.names() == sorted([before[0], done.made])
    assert list((struck.stage.root / "work" / "struck").iterdir()) == []


@pytest.mark.slow
def test_kills_at_any_moment_leave_only_what_counts(struck: Any) -> None:
    generator = random.Random(11)
    for _ in range(3):
        before = struck.good()
        # One that has ended before the kill leaves the others, too.
        run = struck.command("run", BACKUP_KEEP_LAST="9")
        with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(generator.uniform(0.5, 4.0))
            struck.stage.kill()
            process.wait(60)
        assert set(before) <= set(struck.good())
        assert struck.run("verify").status == 0
    assert struck.run("run").status == 0


def test_a_stop_by_signal_clears_everything_away(desk: Any, given: Any) -> None:
    kept = given()
    with subprocess.Popen(desk.command("run"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: any(name.endswith(".part") for name in desk.names()), "run under way")
        desk.stage.kill("TERM")
        process.wait(60)
    assert desk.names() == [kept]
    assert desk.stage.programs() == []


def test_a_full_disk_fails_the_run_loudly_and_keeps_what_is_there(on: Any, small: str, stage: Any) -> None:
    stage.make_database(
        "large",
        "CREATE TABLE noise AS SELECT i, sha256(i::text::bytea) AS s FROM generate_series(1, 250000) i;",
    )
    desk = on(small)
    stage.docker("exec", stage.name, "mkdir", "-p", "/small/backups")
    place = {"BACKUP_DIR": "/small/backups", "BACKUP_KEEP_LAST": "1", "BACKUP_KEEP_MIN": "1"}
    first = desk.make(**place)
    full = desk.run("run", **place, DATABASE_URL_FILE="", DATABASE_URL=stage.url("large"))
    assert full.status == 1
    assert "No space left on device" in full.errors or "the disk is all but full" in full.errors
    assert stage.docker("exec", stage.name, "ls", "-A", "/small/backups").split() == [
        ".last.json", ".lock", ".state.json", first,
    ]  # fmt: skip
    assert desk.run("verify", **place).status == 0
    refused = desk.run("prune", **place)
    assert (refused.status, "after a failed run" in refused.errors) == (1, True)
    stage.docker("exec", stage.name, "rm", "-rf", "/small/backups")


def test_a_drill_that_is_killed_leaves_nothing_in_the_clear_after_the_next_run(sealed: Any, keys: Any) -> None:
    (made,) = sealed.names()
    work = sealed.stage.root / "work" / sealed.folder.name
    done = sealed.run("drill", BACKUP_AGE_IDENTITY_FILE=keys["ours"]["path"], FAULT_AT="drill:between")
    assert done.status == 137, done.text
    assert [path.name for path in (work / "drill").iterdir()]
    assert sealed.run("run", DATABASE_URL_FILE="", DATABASE_URL=sealed.stage.url("nowhere")).status == 1
    assert list(work.iterdir()) == []
    assert sealed.good() == [made]


def test_a_work_folder_that_cannot_be_written_is_told_before_anything_is_done(desk: Any) -> None:
    work = desk.stage.root / "work" / desk.folder.name
    work.mkdir(mode=0o755)
    done = desk.run("run")
    assert (done.status, "chown 10004:10004" in done.errors, "BACKUP_WORK_DIR" in done.errors) == (1, True, True)
    assert desk.names() == []


def test_a_folder_that_cannot_be_written_is_told_with_the_command_that_mends_it(desk: Any) -> None:
    shutil.chown(desk.folder, 0, 0)
    desk.folder.chmod(0o755)
    done = desk.run("run")
    assert (done.status, "chown 10004:10004" in done.errors) == (1, True)
