"""Point-in-time recovery with the archive in a bucket: the same story, a bucket that is away, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backup.store import BUCKET, KEY_ID, SECRET, OnTheMachine
from tests.conftest import Docker
from tests.database.archived import HERE, PATIENCE, Archived
from tests.database.conftest import PASSWORDS, Database

USER = 10003
PASSPHRASE = "what-a-stack-generates"
AWAY_SECONDS = 240
"""A bucket that is gone is tried for a while before it counts as away."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, docker: Docker) -> Iterator[OnTheMachine]:
    """A server that speaks S3 over TLS."""
    ours = OnTheMachine(tmp_path_factory.mktemp("s3"))
    ours.start()
    yield ours
    ours.stop()


class Files:
    """What a stack puts beside the container, and the settings that lead to it."""

    def __init__(self, folder: Path, server: OnTheMachine, prefix: str) -> None:
        self.folder = folder
        self.told = {"BUCKET": BUCKET, "ENDPOINT": server.endpoint, "PREFIX": prefix}
        texts = {
            "PITR_S3_ACCESS_KEY_ID": KEY_ID, "PITR_S3_SECRET_ACCESS_KEY": SECRET, "PITR_PASSPHRASE": PASSPHRASE,
            "PITR_S3_CA": server.authorities,
        }  # fmt: skip
        self.paths = {name: self.write(name, text) for name, text in texts.items()}

    def write(self, name: str, text: str) -> str:
        """Write a file that the server's user alone reads, and return its path in the container."""
        path = self.folder / name.lower()
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o400)
        os.chown(path, USER, USER)
        return f"/run/files/{path.name}"

    def options(self, **other: str) -> list[str]:
        """The options of a container; `other` are further settings, or other ones."""
        told = {f"PITR_S3_{name}": value for name, value in self.told.items()}
        told |= {f"{name}_FILE": path for name, path in self.paths.items()} | other
        return [
            "-v",
            f"{self.folder}:/run/files:ro",
            *(word for each in told.items() for word in ("-e", "=".join(each))),
        ]


@pytest.fixture
def files(database: Database, server: OnTheMachine, tmp_path: Path) -> Files:
    """The files of a stack with a prefix of the test's own."""
    folder = tmp_path / "files"
    folder.mkdir()
    return Files(folder, server, f"{database.name}/pitr")


@pytest.fixture
def archived(database: Database, files: Files) -> Iterator[Archived]:
    """A database whose archive is in the bucket, not started yet."""
    yield Archived(database, files.options())
    database.remove()


def stored(server: OnTheMachine, files: Files) -> list[Path]:
    """What is in the bucket of this test's."""
    return [path for path in (server.data / files.told["PREFIX"]).rglob("*") if path.is_file()]


def state(archived: Archived) -> dict[str, Any]:
    """What the server tells of its archive."""
    said = archived.database.over_tcp("backup_ro", PASSWORDS["backup_ro"], "SELECT public.archive_state()", "postgres")
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def status(archived: Archived) -> dict[str, Any]:
    """What is kept beside the archive for whoever watches."""
    found: dict[str, Any] = json.loads(
        archived.database.docker("exec", archived.database.name, "cat", f"{HERE}/status.json")
    )
    return found


def test_a_moment_comes_back_from_a_bucket_that_holds_nothing_readable_and_the_new_timeline_goes_there_too(
    archived: Archived, server: OnTheMachine, files: Files
) -> None:
    archived.begin()
    archived.add("kept-and-nobody-reads-it-in-the-bucket")
    moment = archived.moment()
    archived.add("regretted")
    assert archived.window("seal")["sealed"] is True
    assert state(archived) == {"trouble": "", "gaps": []}
    assert archived.inside(archived.archive, "ls /there").split() == ["lock", "metrics.prom", "status.json"]

    volume = archived.restored(moment)
    archived.swap(volume)
    archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.names() == "kept-and-nobody-reads-it-in-the-bucket"
    archived.database.wait_for("backup made", seconds=PATIENCE)
    (old, new) = archived.window("seal")["windows"]
    assert (old["timeline"], new["timeline"]) == (1, 2)
    archived.database.until(lambda: len(status(archived)["windows"]) == 2, "status with both timelines", PATIENCE)

    everything = stored(server, files)
    assert {path.relative_to(server.data / files.told["PREFIX"]).parts[0] for path in everything} == {
        "archive",
        "backup",
    }
    for path in everything:
        assert path.read_bytes()[:8] == b"Salted__", f"{path} is not encrypted"
    told = archived.database.docker("inspect", archived.database.name) + str(archived.database.lines())
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    kept = archived.inside(volume, f"grep -rlE '{SECRET}|{PASSPHRASE}' /there || true")
    assert SECRET not in told + shown
    assert PASSPHRASE not in told + shown
    assert kept == ""

    archived.where = files.options(LATER_PREFIX=files.told["PREFIX"])
    said = archived.refused("latest")
    assert f"has gone on below {files.told['PREFIX']}, until 20" in said
    assert f"pulumi config set pitrS3Prefix {files.told['PREFIX']}" in said


@pytest.mark.slow
def test_a_bucket_that_is_away_stops_nothing_and_what_waited_is_there_when_it_is_back(
    archived: Archived, server: OnTheMachine
) -> None:
    archived.begin()
    archived.add("before")
    archived.window("seal")
    server.stop()
    try:
        switch = "SELECT pg_logical_emit_message(true, 'test', repeat('x', 100)); SELECT pg_switch_wal()"
        for number in range(3):
            began = time.monotonic()
            archived.add(f"meanwhile-{number}")
            archived.database.sql(switch)
            assert time.monotonic() - began < 5
        archived.database.until(lambda: state(archived)["trouble"] != "", "trouble that is told", AWAY_SECONDS)
        archived.database.wait_for("cannot look after the archive", seconds=AWAY_SECONDS)
        assert "Connection refused" in archived.event("cannot look after the archive")["event"]
        assert status(archived)["trouble"] == "what is in the archive cannot be told"
        assert len(status(archived)["windows"]) == 1, "what could be reached is told still"
        archived.database.docker("restart", "-t", "30", archived.database.name)
        archived.database.wait_for("ready to accept connections", times=2, seconds=PATIENCE)
        archived.add("started-without-it")
        assert "database system was not properly shut down" not in str(archived.database.messages())
    finally:
        server.start()
    archived.database.wait_for("the archive works", times=2, seconds=AWAY_SECONDS)
    archived.database.until(
        lambda: state(archived) == {"trouble": "", "gaps": []}, "archive that is well", AWAY_SECONDS
    )
    assert archived.window("seal")["sealed"] is True
    archived.swap(archived.restored("latest"))
    archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.names() == "before,meanwhile-0,meanwhile-1,meanwhile-2,started-without-it"


@pytest.mark.slow
def test_what_waits_beyond_the_queue_for_a_bucket_that_is_away_is_let_go_of_told_and_answered(
    archived: Archived, server: OnTheMachine
) -> None:
    archived.begin("-e", "PITR_QUEUE_MB=32")
    archived.add("archived")
    archived.window("seal")
    server.stop()
    try:
        for _ in range(6):
            archived.database.sql("SELECT pg_logical_emit_message(true, 'test', 'x'); SELECT pg_switch_wal()")
        archived.database.wait_for("because archive queue exceeded", seconds=AWAY_SECONDS)
        archived.add("meanwhile")
    finally:
        server.start()
    archived.database.sql("SELECT pg_switch_wal()")
    archived.database.wait_for("the archive has a gap", seconds=AWAY_SECONDS)
    archived.database.wait_for("backup made", times=2, seconds=AWAY_SECONDS)
    archived.database.until(lambda: state(archived)["trouble"] == "", "archive that is well", AWAY_SECONDS)
    assert len(state(archived)["gaps"]) == 1
    archived.swap(archived.restored("latest"))
    archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.names() == "archived,meanwhile"


@pytest.mark.slow
def test_a_segment_that_is_lost_in_the_bucket_is_a_gap_that_is_told_and_answered(
    archived: Archived, server: OnTheMachine, files: Files
) -> None:
    archived.begin()
    for name in ("before", "in", "after"):
        archived.add(name)
        archived.window("seal")
    archived.database.until(lambda: state(archived) == {"trouble": "", "gaps": []}, "archive that is well")
    lost = sorted(path for path in stored(server, files) if path.name.endswith(".zst") and "archive" in path.parts)[-2]
    lost.unlink()
    archived.database.until(lambda: state(archived)["gaps"] == [[lost.name[:24]] * 2], "gap that is told", PATIENCE)
    archived.database.wait_for("backup made", times=2, seconds=PATIENCE)
    assert archived.window("seal")["gaps"] == [{"from": lost.name[:24], "until": lost.name[:24]}]
    archived.swap(archived.restored("latest"))
    archived.database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.names() == "after,before,in"


@pytest.mark.slow
def test_another_key_or_passphrase_stops_no_server_that_has_its_data_and_is_told(
    archived: Archived, files: Files
) -> None:
    archived.begin()
    archived.add("here")
    database = archived.database
    cases = (
        ("PITR_S3_SECRET_ACCESS_KEY", "another", "403 (Forbidden)"),
        ("PITR_PASSPHRASE", "another", "encrypted with another passphrase"),
    )
    for name, value, words in cases:
        files.write(name, value)
        database.docker("rm", "-f", database.name)
        archived.start()
        database.wait_for("cannot prepare the repository", seconds=AWAY_SECONDS)
        assert words in archived.event("cannot prepare the repository")["event"]
        database.until(lambda: state(archived)["trouble"] == "cannot prepare the repository", "trouble that is told")
        assert archived.names() == "here"
        database.sql("SELECT pg_logical_emit_message(true, 'test', 'x'); SELECT pg_switch_wal()")
        database.wait_for("archive command failed", seconds=AWAY_SECONDS)
        assert KEY_ID not in str(database.lines())
        files.write(name, {"PITR_S3_SECRET_ACCESS_KEY": SECRET, "PITR_PASSPHRASE": PASSPHRASE}[name])


@pytest.mark.slow
def test_a_lost_volume_is_not_replaced_by_an_empty_one_while_the_bucket_has_it_or_does_not_say(
    archived: Archived, server: OnTheMachine, files: Files
) -> None:
    archived.begin()
    archived.add("committed")
    archived.window("seal")
    database = archived.database
    start = ("-v", f"{archived.archive}:{HERE}", "-e", "PITR=true")
    database.docker("rm", "-f", database.name)
    archived.inside(database.data, "rm -rf /there/*")
    cases = {
        "make restore-pit TO=latest": files.options(),
        "403 (Forbidden)": files.options(PITR_S3_SECRET_ACCESS_KEY_FILE="/run/files/pitr_passphrase"),
        "NoSuchBucket": files.options(PITR_S3_BUCKET="nowhere"),
        "self-signed certificate": files.options(PITR_S3_CA_FILE=""),
        "Connection refused": files.options(PITR_S3_ENDPOINT=f"https://{server.address}:1"),
        "wanted a URL that begins with https://": files.options(PITR_S3_ENDPOINT="http://s3.example.com"),
        "PITR_PASSPHRASE: not set": files.options(PITR_PASSPHRASE_FILE=""),
    }
    for words, options in cases.items():
        database.create(*start, *options)
        assert database.ended(seconds=AWAY_SECONDS) == 1
        assert words in database.messages()[-1]
        assert KEY_ID not in str(database.lines())
        database.docker("rm", "-f", database.name)
    assert "data" not in archived.inside(database.data, "ls /there").split()

    later = f"{files.told['PREFIX']}-2"
    database.create(*start, *files.options(PITR_S3_PREFIX=later))
    database.wait_for("backup made", seconds=PATIENCE)
    archived.where = files.options(LATER_PREFIX=later)
    assert f"has gone on below {later}" in archived.refused("latest")
    archived.where = files.options(LATER_PREFIX=f"{files.told['PREFIX']}-3")
    archived.swap(archived.restored("latest"))
    database.wait_for("ready to accept connections", seconds=PATIENCE)
    assert archived.names() == "committed", "another prefix begins anew, and leaves what is there as it is"


@pytest.mark.slow
def test_a_restore_from_a_bucket_that_is_away_or_opens_with_another_passphrase_is_refused_with_the_reason(
    archived: Archived, server: OnTheMachine, files: Files
) -> None:
    archived.begin()
    archived.window("seal")
    archived.where = files.options(PITR_PASSPHRASE_FILE="/run/files/pitr_s3_access_key_id")
    assert "encrypted with another passphrase" in archived.refused("latest")
    archived.where = files.options()
    server.stop()
    try:
        assert "Connection refused" in archived.refused("latest")
    finally:
        server.start()
    archived.restored("latest")
