"""Point-in-time recovery: the archive, the volumes that the database was on, and the job that fills a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from infra.model import Egress, Job, Service
from tests.infra.conftest import CONTAINER, VOLUME, Declared, RunProgram

CLAIM = "PersistentVolumeClaim"
RESTORED = {
    "pitr": "true",
    "databaseVolume": "database-2",
    "databaseVolumesKept": "database",
    "databaseRestore": "database-2@2026-11-22T14:05:00Z",
}


BUCKET = {
    "pitr": "true",
    "pitrS3Bucket": "logs",
    "pitrS3AccessKey": "id-of-a-key",
    "pitrS3SecretKey": "the key itself",
    "releaseKey": "ab" * 32,
}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
COPIES = {
    "backupS3Bucket": "copies",
    "backupS3AccessKey": "another-id",
    "backupS3SecretKey": "another key",
    "backupS3Endpoint": "https://s3.example.com:9000",
    "backupS3Region": "eu-1",
    "backupS3Authorities": CERTIFICATE,
    "environment": "development",
}


def mounted(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return a container's volumes by their paths."""
    return {row["containerPath"]: str(row.get("volumeName") or row["hostPath"]) for row in inputs["volumes"]}


def declared_volumes(declared: Declared) -> set[str]:
    """Return the database's volumes, and the archive."""
    return {name for name in declared.of(VOLUME) if name.startswith(("volume-database", "volume-archive"))}


def own(declared: Declared, name: str) -> Service | Job:
    """Return a part as it was described."""
    assert declared.system is not None
    return next(each for each in declared.system.declared if each.name == name)


def test_without_pitr_nothing_is_archived_and_no_volume_is_there_for_it(run_program: RunProgram) -> None:
    declared = run_program()
    database = declared.of(CONTAINER)["database"]
    assert not [entry for entry in database["envs"] if entry.startswith(("PITR", "NEW_CLUSTER"))]
    assert not [entry for entry in declared.of(CONTAINER)["db-backup"]["envs"] if entry.startswith("BACKUP_PITR")]
    assert declared_volumes(declared) == {"volume-database", "volume-database-socket"}


def test_the_archive_is_on_a_volume_of_its_own_that_no_backup_shares(run_program: RunProgram) -> None:
    declared = run_program({"pitr": "true", "pitrHour": "4", "pitrQueueMax": "512"})
    containers = declared.of(CONTAINER)
    places = mounted(containers["database"])
    assert places["/var/lib/pgbackrest"].endswith("-archive")
    assert {"PITR=true", "PITR_HOUR=4", "PITR_QUEUE_MB=512"} <= set(containers["database"]["envs"])
    assert "BACKUP_PITR=true" in containers["db-backup"]["envs"], "so that somebody hears of trouble with it"
    users = {name for name, inputs in containers.items() if places["/var/lib/pgbackrest"] in mounted(inputs).values()}
    assert users == {"database"}
    assert not [place for place in places.values() if place.endswith("-backups")]


def test_a_restore_fills_a_new_volume_apart_and_the_database_comes_after_it(run_program: RunProgram) -> None:
    declared = run_program(RESTORED)
    containers = declared.of(CONTAINER)
    job, database = containers["database-restore"], containers["database"]
    assert mounted(job)["/var/lib/postgresql"].endswith("-database-2")
    assert set(mounted(job)) == {"/var/lib/postgresql", "/var/lib/pgbackrest"}
    assert job["networkMode"] == "none"
    assert "RESTORE_TO=2026-11-22T14:05:00Z" in job["envs"]
    assert mounted(database)["/var/lib/postgresql"] == mounted(job)["/var/lib/postgresql"]
    assert "NEW_CLUSTER=refused" in database["envs"]
    assert own(declared, "database").after == ("database-restore",)
    assert {"volume-database", "volume-database-2", "volume-archive"} <= declared_volumes(declared)


def test_going_back_to_an_earlier_volume_declares_all_of_them_still(run_program: RunProgram) -> None:
    declared = run_program(RESTORED | {"databaseVolume": "database", "databaseVolumesKept": "database database-2"})
    assert mounted(declared.of(CONTAINER)["database"])["/var/lib/postgresql"].endswith("-database")
    assert own(declared, "database").after == ()
    assert {"volume-database", "volume-database-2"} <= declared_volumes(declared)


def test_a_claim_for_the_archive_has_its_own_size_and_the_socket_stays_with_the_data(
    run_program: RunProgram, on_kubernetes: dict[str, str]
) -> None:
    declared = run_program(on_kubernetes | RESTORED | {"pitrStorage": "33", "databaseStorage": "12"})
    sizes = {
        inputs["metadata"]["name"]: inputs["spec"]["resources"]["requests"]["storage"]
        for inputs in declared.objects(CLAIM).values()
    }
    assert (sizes["archive"], sizes["database"], sizes["database-2"]) == ("33Gi", "12Gi", "12Gi")
    (database,) = (declared.objects("StatefulSet")["database"],)
    claims = {row["name"] for row in database["spec"]["template"]["spec"]["volumes"] if "persistentVolumeClaim" in row}
    assert claims == {"archive", "database-2"}
    (job,) = (each for name, each in declared.objects("Job").items() if name == "database-restore")
    spec = job["spec"]["template"]["spec"]
    assert {row["name"] for row in spec["volumes"] if "persistentVolumeClaim" in row} == {"archive", "database-2"}
    assert "podAffinity" in spec["affinity"]


def test_an_archive_in_a_bucket_is_told_where_and_holds_its_secrets_in_files(run_program: RunProgram) -> None:
    declared = run_program(
        BUCKET | {"pitrS3Endpoint": "https://s3.example.com:9000", "pitrS3Region": "eu-1"} | RESTORED
    )
    containers = declared.of(CONTAINER)
    told = {
        "PITR_S3_BUCKET=logs", "PITR_S3_ENDPOINT=https://s3.example.com:9000", "PITR_S3_REGION=eu-1",
        "PITR_S3_PREFIX=pitr", "PITR_S3_ACCESS_KEY_ID_FILE=/run/files/pitr-s3-access-key-id",
        "PITR_S3_SECRET_ACCESS_KEY_FILE=/run/files/pitr-s3-secret-access-key",
        "PITR_PASSPHRASE_FILE=/run/files/pitr-passphrase",
    }  # fmt: skip
    for name in ("database", "database-restore"):
        inputs = containers[name]
        assert {entry for entry in inputs["envs"] if entry.startswith("PITR_S3") or "PASSPHRASE" in entry} == told
        assert [row["name"] for row in inputs["networksAdvanced"]][-1] == "scaffold-unit-egress"
        assert "/var/lib/pgbackrest" in mounted(inputs), "its status is on the volume still, and the lock of restores"
        part = own(declared, name)
        assert [(file.name, file.secret) for file in part.workload.files] == [
            ("pitr-s3-access-key-id", True), ("pitr-s3-secret-access-key", True), ("pitr-passphrase", True),
        ]  # fmt: skip
        assert part.workload.egress == (Egress("0.0.0.0/0", 9000),)
    assert "PITR=true" not in containers["database-restore"]["envs"], "what is restored archives nothing"


def test_the_bucket_is_on_the_backups_server_unless_something_is_said_of_its_own_and_never_has_its_key(
    run_program: RunProgram,
) -> None:
    def told(**more: str) -> dict[str, str]:
        entries = run_program(BUCKET | COPIES | more).of(CONTAINER)["database"]["envs"]
        return dict(entry.split("=", 1) for entry in entries if entry.startswith("PITR_S3"))

    shared = told()
    assert (shared["PITR_S3_ENDPOINT"], shared["PITR_S3_REGION"]) == ("https://s3.example.com:9000", "eu-1")
    assert shared["PITR_S3_CA_FILE"] == "/run/files/pitr-s3-ca"
    apart = told(pitrS3Region="eu-2")
    assert apart["PITR_S3_REGION"] == "eu-2"
    assert not {"PITR_S3_ENDPOINT", "PITR_S3_CA_FILE"} & apart.keys()
    with pytest.raises(pulumi.RunError, match="pitrS3AccessKey: not set, though pitrS3Bucket is"):
        run_program(COPIES | {"pitr": "true", "pitrS3Bucket": "logs", "releaseKey": "ab" * 32})


@pytest.mark.parametrize(
    ("prefix", "later"), [("", "pitr-2"), ("shop", "shop-2"), ("shop-2", "shop-3"), ("a/b-log", "a/b-log-2")]
)
def test_a_restore_to_the_end_is_told_where_the_archive_may_have_gone_on(
    run_program: RunProgram, prefix: str, later: str
) -> None:
    to_the_end = BUCKET | {"pitrS3Prefix": prefix, "databaseRestore": "database@latest"}
    (told,) = [
        entry
        for entry in run_program(to_the_end).of(CONTAINER)["database-restore"]["envs"]
        if entry.startswith("LATER_PREFIX")
    ]
    assert told == f"LATER_PREFIX={later}"
    on_a_volume = {"pitr": "true", "databaseRestore": to_the_end["databaseRestore"]}
    for settings in (BUCKET | RESTORED, on_a_volume):
        envs = run_program(settings).of(CONTAINER)["database-restore"]["envs"]
        assert not [entry for entry in envs if entry.startswith("LATER_PREFIX")]


def test_what_the_archive_is_encrypted_with_is_there_before_a_bucket_is_and_stays_without_one(
    run_program: RunProgram,
) -> None:
    for settings in ({}, {"pitr": "true"}, BUCKET):
        assert "archive-passphrase" in run_program(settings).of("random:index/randomPassword:RandomPassword")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({key: value for key, value in BUCKET.items() if key != "pitr"}, "pitrS3Bucket: set without pitr"),
        (BUCKET | {"pitrS3SecretKey": ""}, "pitrS3SecretKey: not set, though pitrS3Bucket is"),
        (BUCKET | {"pitrS3Bucket": ""}, "pitrS3Bucket: not set, though pitrS3AccessKey is"),
        (
            BUCKET | {"pitrS3Endpoint": "http://s3.example.com"},
            "pitrS3Endpoint: got 'http://s3.example.com', wanted https",
        ),
        (BUCKET | {"pitrS3Prefix": "a//b"}, "pitrS3Prefix: got 'a//b'"),
        (BUCKET | {"pitrS3Authorities": "none"}, "pitrS3Authorities: got 'none', wanted a certificate"),
        ({"databaseVolume": "data"}, "databaseVolume: got 'data', wanted database, or the name"),
        ({"databaseVolume": "database-1"}, "databaseVolume: got 'database-1'"),
        ({"databaseVolumesKept": "database backups"}, "databaseVolumesKept: got"),
        ({"pitr": "true", "databaseRestore": "database-2@2026-11-22T14:05:00Z"}, "neither databaseVolume nor"),
        ({"pitr": "true", "databaseRestore": "database@yesterday"}, "wanted a volume and a moment in UTC or latest"),
        ({"databaseRestore": "database@latest"}, "pulumi config set pitr true"),
        ({"pitr": "true", "databaseMemory": "128"}, "databaseMemory: got 128, wanted a whole number from 192"),
        ({"pitr": "true", "pitrHour": "24"}, "pitrHour: got 24"),
        ({"pitrStorage": "30"}, "pitrStorage: got 30, wanted nothing on docker"),
    ],
)
def test_what_cannot_be_meant_is_named(run_program: RunProgram, given: dict[str, str], said: str) -> None:
    with pytest.raises(pulumi.RunError, match=said):
        run_program(given)


def test_a_managed_databases_log_is_its_keepers_affair(run_program: RunProgram) -> None:
    url = "postgresql+psycopg://app:password@db.example.com:6432/app"
    with pytest.raises(pulumi.RunError, match="pitr: got true, wanted false beside databaseUrl"):
        run_program({"pitr": "true", "databaseUrl": url, "databaseOwnerUrl": url, "releaseKey": "ab" * 32})
