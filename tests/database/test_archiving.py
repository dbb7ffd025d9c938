"""Archiving as the settings ask for it: what is wrong is named, and pgBackRest's configuration holds what was meant."""

from __future__ import annotations

import configparser
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from server import (
    archiving,
    archivist,
    bucket,
    bulletin,
    memory,
    metrics,
    moment,
    pgbackrest,
    remote,
    repository,
    restoring,
)
from server.error import StopError
from server.memory import Limit
from server.reach import Archive, Backup
from server.repository import Contents


def test_nothing_is_archived_unless_asked_for() -> None:
    assert archiving.read({}) is None
    assert archiving.read({"PITR": "false", "PITR_HOUR": "77"}) is None
    with pytest.raises(StopError, match="pulumi config set pitr true"):
        archiving.needed({})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PITR", "yes", "true or false"),
        ("PITR_HOUR", "24", "from 0 to 23"),
        ("PITR_FULL_DAYS", "0", "from 1 to 366"),
        ("PITR_KEEP_DAYS", "-1", "from 1 to 3660"),
        ("PITR_QUEUE_MB", "1e3", "from 32 to 1048576"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(name: str, value: str, wanted: str) -> None:
    with pytest.raises(StopError, match=f"{name}: got '{value}', wanted .*{wanted}"):
        archiving.read({"PITR": "true", name: value})


def test_the_configuration_bounds_the_queue_and_leaves_giving_up_to_the_archivist() -> None:
    plan = archiving.read({"PITR": "true", "PITR_QUEUE_MB": "64", "PITR_KEEP_DAYS": "30"})
    found = configparser.ConfigParser()
    found.read_string(archiving.render(plan, Path("/var/lib/postgresql/data")))
    assert found["global:archive-push"]["archive-push-queue-max"] == "64MiB"
    assert found["global:archive-push"]["archive-async"] == "y"
    assert found["global"]["expire-auto"] == "n"
    assert (found["global"]["repo1-retention-full-type"], found["global"]["repo1-retention-full"]) == ("time", "30")
    assert found["main"]["pg1-path"] == "/var/lib/postgresql/data"


BUCKET = {
    "PITR_S3_BUCKET": "logs",
    "PITR_S3_ACCESS_KEY_ID": "id",
    "PITR_S3_SECRET_ACCESS_KEY": "a=b;c#d",
    "PITR_PASSPHRASE": "passphrase",
}


def test_a_bucket_takes_the_place_of_the_volume_encrypted_and_on_amazons_own_server_unless_another_is_named() -> None:
    plan = archiving.needed({"PITR": "true"})

    def told(**other: str) -> Mapping[str, str]:
        found = configparser.ConfigParser(interpolation=None, delimiters=("=",), inline_comment_prefixes=None)
        found.read_string(archiving.render(plan, Path("/data"), bucket.find(BUCKET | other)))
        return found["global"]

    usual = told(PITR_S3_REGION="eu-1", PITR_S3_PREFIX="/shop/")
    assert usual["repo1-path"] == "/shop"
    assert (usual["repo1-cipher-type"], usual["repo1-cipher-pass"]) == ("aes-256-cbc", "passphrase")
    assert usual["repo1-s3-key-secret"] == "a=b;c#d"
    assert (usual["repo1-s3-endpoint"], usual["repo1-s3-uri-style"]) == ("s3.eu-1.amazonaws.com", "host")
    assert (usual["repo1-storage-port"], "repo1-storage-ca-file" in usual) == ("443", False)
    other = told(PITR_S3_ENDPOINT="https://s3.example.com:9000", PITR_S3_CA_FILE="/run/files/ca")
    assert (other["repo1-s3-endpoint"], other["repo1-storage-port"]) == ("s3.example.com", "9000")
    assert (other["repo1-s3-uri-style"], other["repo1-s3-region"]) == ("path", "us-east-1")
    assert other["repo1-storage-ca-file"] == "/run/files/ca"
    assert bucket.find({}) is None


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"PITR_S3_ENDPOINT": "http://s3.example.com"}, "wanted a URL that begins with https://"),
        ({"PITR_S3_ENDPOINT": "https://"}, "wanted a URL that begins with https://"),
        ({"PITR_S3_ACCESS_KEY_ID": ""}, "PITR_S3_ACCESS_KEY_ID: not set"),
        ({"PITR_S3_SECRET_ACCESS_KEY": "two\nlines"}, "PITR_S3_SECRET_ACCESS_KEY: not one line"),
        ({"PITR_PASSPHRASE": ""}, "PITR_PASSPHRASE: not set"),
    ],
)
def test_half_of_a_bucket_is_refused_by_name_and_without_its_secrets(change: dict[str, str], wanted: str) -> None:
    with pytest.raises(StopError, match=wanted) as refused:
        bucket.find(BUCKET | change)
    assert "two" not in str(refused.value)
    found = bucket.find(BUCKET)
    assert (repr(found), str(found)) == ("Bucket('s3://logs/')", "Bucket('s3://logs/')")


def test_of_a_buckets_answer_its_code_and_its_words_are_left() -> None:
    said = (
        "ERROR: [103]: HTTP request failed with 403 (Forbidden):\n*** Path/Query ***:\nGET /logs\n"
        "<Error><Code>SignatureDoesNotMatch</Code><Message>Look at your key.</Message><KeyId>id</KeyId>"
    )
    assert pgbackrest.explained(said) == (
        "[103]: HTTP request failed with 403 (Forbidden): SignatureDoesNotMatch: Look at your key."
    )
    tried = (
        "ERROR: [049]: unable to connect to 's3:1': [111] Connection refused\n[HostConnectError] on 9 retries: again"
    )
    assert pgbackrest.explained(tried) == "[049]: unable to connect to 's3:1': [111] Connection refused"


def test_of_each_timeline_the_folders_that_may_have_grown_are_asked_for_again() -> None:
    folders = ["0000000100000000", "0000000100000001", "0000000100000002", "0000000200000002", "0000000300000002"]
    assert remote.newest(reversed(folders)) == set(folders[1:])


@pytest.mark.parametrize(
    ("told", "made"),
    [
        ({}, False),
        ({"archive": [], "backup": [], "db": [], "status": {"code": 1, "message": "missing stanza path"}}, False),
        ({"archive": [], "backup": [], "db": [{"id": 1}], "status": {"code": 2, "message": "no valid backups"}}, False),
        ({"archive": [{"id": "17-1", "max": None}], "db": [{"id": 1}], "status": {"code": 2}}, True),
    ],
)
def test_a_repository_is_made_only_where_it_is_not_whole(told: dict[str, object], *, made: bool) -> None:
    assert archivist.is_made(told) is made


def test_the_server_switches_segments_and_hands_them_over() -> None:
    plan = archiving.needed({"PITR": "true"})
    told = archiving.server_settings(plan, None)
    assert told["archive_mode"] == "on"
    assert told["archive_timeout"] == "30s"
    assert told["archive_command"].endswith("--stanza=main archive-push %p")


def test_what_archiving_takes_is_left_out_of_the_servers_share() -> None:
    assert memory.left(Limit(512, "cgroup"), 64) == 448
    assert memory.left(Limit(128, "cgroup"), 0) == 128
    with pytest.raises(StopError, match="pulumi config set databaseMemory 192"):
        memory.left(Limit(128, "cgroup"), 64)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-22 14:05", "2026-02-30T00:00:00Z", "2026-11-22T14:05:00+01:00"]
)
def test_a_target_that_is_no_moment_in_utc_is_refused(text: str) -> None:
    with pytest.raises(StopError, match=r"RESTORE_TO: got .*2026-11-22T14:05:00Z, or latest"):
        restoring.target_from(text)


def test_a_moment_is_read_as_it_is_shown() -> None:
    assert moment.shown(moment.read("2026-11-22T14:05:09Z")) == "2026-11-22T14:05:09Z"
    assert restoring.target_from("latest").seconds == 0


def test_names_of_segments_and_their_numbers_are_the_same_thing() -> None:
    for name in ("000000010000000000000001", "0000000A0000000F000000FF"):
        assert repository.name_of(*repository.numbers(name)) == name


def test_what_pgbackrest_says_becomes_one_line_with_its_hints() -> None:
    said = "WARN: a\nERROR: [082]: unable to push\n       HINT: is it there?\n"
    assert pgbackrest.explained(said) == "[082]: unable to push is it there?"
    assert pgbackrest.warnings(said) == ["a"]
    assert pgbackrest.explained("") == ""


def test_what_could_not_be_decrypted_is_in_no_message_whatever_characters_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = "[FormatError] unable to load info file: key/value found outside of section at line 1: \x01\x1f\ufffd{"
    told = '[{"name": "%s", "status": {"code": 99}, "repo": [{"status": {"message": "%s"}}]}]'
    monkeypatch.setattr(pgbackrest, "run", lambda *_: (told % (archiving.STANZA, message), []))
    with pytest.raises(pgbackrest.ToolError, match="encrypted with another passphrase than this stack's") as caught:
        pgbackrest.info()
    assert str(caught.value).isprintable()


def test_segments_are_found_where_pgbackrest_puts_them(tmp_path: Path) -> None:
    below = tmp_path / "0000000200000000"
    below.mkdir()
    (below / f"000000020000000000000005-{'a' * 40}.zst").touch()
    (below / "000000020000000000000005.00000028.backup").touch()
    (tmp_path / "00000002.history").write_text("1\t0/5000000\tbefore\n")
    found = repository.archive_in(tmp_path)
    assert {timeline: list(numbers) for timeline, numbers in found.segments.items()} == {2: [5]}
    assert found.ancestors == {2: [(1, 5)]}
    assert repository.archive_in(tmp_path / "nowhere") == ({}, {})


def test_the_metrics_tell_what_can_be_reached_and_what_is_missing() -> None:
    base = Backup("base", "full", 1, 2, 3, 34.0, 35.0, 1000)
    archive = Archive({1: {number: number * 10.0 for number in (1, 2, 3, 4, 6)}}, {})
    lines = metrics.render(70.0, Contents([base], archive), 4, failing=True).splitlines()
    told = dict(line.split() for line in lines if not line.startswith("#"))
    assert told["scaffold_pitr_reach_from_timestamp_seconds"] == "35.000"
    assert told["scaffold_pitr_reach_until_timestamp_seconds"] == "40.000"
    assert (told["scaffold_pitr_gaps"], told["scaffold_pitr_archiving_failing"]) == ("1.000", "1.000")
    assert (told["scaffold_pitr_last_full_timestamp_seconds"], told["scaffold_pitr_backup_bytes"]) == (
        "35.000",
        "1000.000",
    )
    assert len([line for line in lines if line.startswith("# HELP")]) == len(told)


def test_without_anything_archived_the_metrics_say_so() -> None:
    lines = metrics.render(70.0, Contents([], Archive({}, {})), 0, failing=False).splitlines()
    told = dict(line.split() for line in lines if not line.startswith("#"))
    assert told["scaffold_pitr_reach_until_timestamp_seconds"] == told["scaffold_pitr_backups"] == "0.000"


def test_a_segment_that_the_server_has_let_go_of_is_a_failure_though_it_waits_for_nothing() -> None:
    kept = Contents([], Archive({1: {5: 10.0}}, {}))
    for archived, trouble in (
        ("000000010000000000000005", ""),
        ("000000010000000000000006", "archiving fails: 000000010000000000000006 is not in the archive"),
        ("000000010000000000000005.00000028.backup", ""),
        ("00000002.history", ""),
        ("", ""),
    ):
        assert archivist.wrong(archivist.Seen(1, "", 0, archived), kept).startswith(trouble)
        assert bool(archivist.wrong(archivist.Seen(1, "", 0, archived), kept)) is bool(trouble)
    failing = archivist.Seen(1, "000000010000000000000006", 3, "000000010000000000000005")
    assert archivist.wrong(failing, kept) == "archiving fails: 3 segments wait, from 000000010000000000000006 on"


def test_what_the_server_tells_of_the_archive_is_small_and_names_the_newest_gaps(tmp_path: Path) -> None:
    bulletin.write(tmp_path, "it fails", [(1, 7, 8), (1, 2, 2)])
    assert json.loads((tmp_path / bulletin.NAME).read_text()) == {
        "trouble": "it fails",
        "gaps": [["000000010000000000000002"] * 2, ["000000010000000000000007", "000000010000000000000008"]],
    }
    many = bulletin.render("", [(1, 2 * each, 2 * each) for each in range(1000)])
    assert len(many) < 10_000
    assert repository.name_of(1, 1998) in many
    assert json.loads(bulletin.render("", None))["gaps"] is None
    bulletin.write(tmp_path / "nowhere", "", [])
