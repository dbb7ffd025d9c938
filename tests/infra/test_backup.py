"""Backups: what the service is told, whom it calls, and where what it makes is kept."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pulumi
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from infra import backup, secrets
from infra.platforms.docker import daemon, folder
from tests.infra.conftest import CONTAINER, VOLUME, Declared, RunProgram

RELEASE_KEY = "ab" * 32
BUCKET = {
    "releaseKey": RELEASE_KEY,
    "backupS3Bucket": "copies",
    "backupS3Prefix": "/site/",
    "backupS3AccessKey": "the id of the key",
    "backupS3SecretKey": "the key itself",
}
USER = 10004


def environment(declared: Declared) -> dict[str, str]:
    """Return what the service is told."""
    return dict(entry.split("=", 1) for entry in declared.of(CONTAINER)["db-backup"]["envs"])


def handed(declared: Declared) -> dict[str, str]:
    """Return the contents of the service's files."""
    (files,) = (each for name, each in declared.of(CONTAINER).items() if name.startswith("db-backup-files"))
    return {Path(each["file"]).name: revealed(each["content"]) for each in revealed(files["uploads"])}


def revealed(value: Any) -> Any:
    """Return what a secret holds, as the mocks give it; anything else as it is."""
    return value["value"] if isinstance(value, dict) and value.keys() > {"value"} else value


def test_the_service_reads_the_database_as_a_role_of_its_own(run_program: RunProgram) -> None:
    declared = run_program()
    told, files = environment(declared), handed(declared)
    assert told["DATABASE_URL_FILE"] == "/run/files/database-url"
    assert files["database-url"].startswith("postgresql+psycopg://backup_ro:")
    assert files["database-url"].endswith("@database:5432/scaffold")
    (roles,) = (each for name, each in declared.of(CONTAINER).items() if name == "database-roles")
    document = json.loads(revealed(revealed(roles["uploads"])[0]["content"]))
    assert document["backup"]["name"] == "backup_ro"
    assert f":{document['backup']['password']}@" in files["database-url"]


def test_a_managed_database_is_read_as_its_owner_or_as_the_role_that_is_set(run_program: RunProgram) -> None:
    url = "postgresql+psycopg://{}:password@db.example.com:6432/app"
    managed = {"databaseUrl": url.format("app"), "databaseOwnerUrl": url.format("owner"), "releaseKey": RELEASE_KEY}
    assert handed(run_program(managed))["database-url"] == url.format("owner")
    reader = run_program(managed | {"backupDatabaseUrl": url.format("reader")})
    assert handed(reader)["database-url"] == url.format("reader")


def test_the_bucket_and_its_key_reach_the_service_and_the_key_by_file_alone(run_program: RunProgram) -> None:
    declared = run_program(BUCKET)
    told, files = environment(declared), handed(declared)
    assert told["BACKUP_S3_BUCKET"] == "copies"
    assert told["BACKUP_S3_PREFIX"] == "site"
    assert files["backup-s3-secret-access-key"] == "the key itself"
    assert files["backup-s3-access-key-id"] == "the id of the key"
    assert "the key itself" not in json.dumps(told)
    networks = declared.of(CONTAINER)["db-backup"]["networksAdvanced"]
    assert {each["name"] for each in networks} == {"scaffold-unit-egress", "scaffold-unit-to-database"}


def test_where_backups_are_is_told_and_that_there_is_no_other_copy(run_program: RunProgram) -> None:
    assert "volume scaffold-unit-backups and nowhere else" in run_program().outputs["backups"]
    assert run_program(BUCKET).outputs["backups"] == "volume scaffold-unit-backups and s3://copies/site"


LAST = {"id": "20261126T033000Z-0a1b2c", "created": "2026-11-26T04:30:00+01:00", "rows": 1234, "bytes": 56789}


def test_the_newest_backup_that_counts_is_told_when_an_update_ends(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def content(_host: str, container: str, path: str) -> str:
        asked.append((container, path))
        return json.dumps(LAST | {"state": "restored"})

    monkeypatch.setattr(daemon, "content", content)
    told = run_program().outputs["lastBackup"]
    assert told == "20261126T033000Z-0a1b2c of 2026-11-26 03:30 UTC: 1234 rows in 56789 bytes, restored"
    assert asked == [("scaffold-unit-db-backup", "/backups/.last.json")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        "{",
        "null",
        json.dumps(LAST),
        json.dumps(LAST | {"state": "restored", "id": "\x1b[2J"}),
        json.dumps(LAST | {"state": "restored", "created": "9999-99"}),
        json.dumps(LAST | {"state": "restored", "rows": "many"}),
        json.dumps(LAST | {"state": "restored", "rows": None}),
    ],
)
def test_whatever_else_the_service_wrote_says_that_there_is_none(text: str) -> None:
    assert backup.last(text) == backup.NONE_YET


def test_a_file_that_is_not_there_is_no_text_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert daemon.content("", "scaffold-no-such-container", "/backups/.last.json") == ""
    monkeypatch.setenv("PATH", "/nowhere")
    assert daemon.content("", "scaffold-no-such-container", "/backups/.last.json") == ""


def test_a_daemon_that_does_not_answer_holds_an_update_up_for_two_seconds_at_the_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "docker"
    silent.write_text("#!/bin/sh\nexec sleep 30\n")
    silent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    began = time.monotonic()
    assert daemon.content("", "db-backup", "/backups/.last.json") == ""
    assert time.monotonic() - began < 10, "2 s, and what a busy machine adds"


def test_when_drills_are_made_is_a_schedule_or_never(run_program: RunProgram) -> None:
    assert environment(run_program())["BACKUP_DRILL_SCHEDULE"] == "0 5 * * sun"
    assert environment(run_program({"backupDrillSchedule": "never"}))["BACKUP_DRILL_SCHEDULE"] == "never"


def test_a_stack_without_backups_has_neither_service_nor_volume_and_says_so(run_program: RunProgram) -> None:
    declared = run_program({"backups": "false"})
    assert not [name for name in declared.of(CONTAINER) if "backup" in name]
    assert not [name for name in declared.of(VOLUME) if "backup" in name]
    assert "pulumi config set backups true" in declared.outputs["backups"]
    assert "lastBackup" not in declared.outputs


def test_the_signing_key_is_made_of_what_was_generated_and_of_nothing_else(run_program: RunProgram) -> None:
    first, again = (handed(run_program())["backup-signing-key"] for _ in range(2))
    assert first == again
    assert isinstance(load_pem_private_key(first.encode(), None), Ed25519PrivateKey)
    assert secrets.ed25519("some text") != secrets.ed25519("another text")


# A folder of the machine


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A folder that belongs to the service's user."""
    made = tmp_path / "backups"
    made.mkdir(mode=0o750)
    os.chown(made, USER, USER)
    return made


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user, which takes root")
def test_a_folder_of_the_machine_takes_the_volumes_place(run_program: RunProgram, own_folder: Path) -> None:
    declared = run_program({"backupFolder": str(own_folder)})
    assert "volume-backups" not in declared.of(VOLUME)
    mounts = declared.of(CONTAINER)["db-backup"]["volumes"]
    assert {"hostPath": str(own_folder), "containerPath": "/backups", "readOnly": False} in mounts
    assert str(own_folder) in declared.outputs["backups"]


def test_a_folder_that_is_not_there_is_refused_with_the_command_that_makes_it(
    run_program: RunProgram, tmp_path: Path
) -> None:
    path = tmp_path / "none"
    with pytest.raises(pulumi.RunError, match=f"sudo install -d -o {USER} -g {USER} -m 0750 {path}"):
        run_program({"backupFolder": str(path)})


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user, which takes root")
@pytest.mark.parametrize(("owner", "mode"), [(0, 0o750), (USER, 0o550), (USER, 0o757)])
def test_a_folder_of_somebody_else_or_open_to_all_is_refused(
    run_program: RunProgram, own_folder: Path, owner: int, mode: int
) -> None:
    os.chown(own_folder, owner, owner)
    own_folder.chmod(mode)
    with pytest.raises(pulumi.RunError, match="Mend it: sudo install -d"):
        run_program({"backupFolder": str(own_folder)})


def test_a_file_in_the_folders_place_is_refused(run_program: RunProgram, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(pulumi.RunError, match="no folder, wanted one for backups"):
        run_program({"backupFolder": str(path)})


def test_a_folder_of_another_machine_is_not_looked_for_on_this_one(run_program: RunProgram) -> None:
    described = run_program().system
    assert described is not None
    folder.check("ssh://user@far.example.com", described)
