"""A backup is loaded in one update alone: after the roles, before the schema is migrated, and as the owner."""

from __future__ import annotations

import json

import pulumi
import pytest

from infra import recovery
from tests.infra.conftest import CONTAINER, RunProgram
from tests.infra.test_backup import BUCKET, revealed

JOB = "recovery"


def test_nothing_is_loaded_unless_the_environment_of_this_update_says_so(run_program: RunProgram) -> None:
    assert recovery.wanted({}) == ""
    assert recovery.wanted({recovery.VARIABLE: "latest"}) == "latest"
    assert JOB not in run_program(BUCKET).of(CONTAINER)


def test_it_goes_between_the_roles_and_the_migration(run_program: RunProgram) -> None:
    declared = run_program(BUCKET, recover="20261126T010203Z-abcdef")
    system = declared.system
    assert system is not None
    jobs = {job.name: job for job in system.jobs}
    assert jobs[JOB].after == ("database-roles",)
    assert jobs["migrate"].after == (JOB,)
    assert jobs[JOB].workload.command == ("python", "-m", "backup", "recover", "20261126T010203Z-abcdef")
    assert JOB in system.service("database").reachable_from


def test_it_loads_as_the_owner_with_the_services_own_bucket_key_and_volumes(run_program: RunProgram) -> None:
    declared = run_program(BUCKET, recover="latest").of(CONTAINER)
    job, service = declared[JOB], declared["db-backup"]
    files = {each["file"]: revealed(each["content"]) for each in revealed(job["uploads"])}
    assert files["/run/files/database-url"].startswith("postgresql+psycopg://owner:")
    assert files["/run/files/backup-s3-secret-access-key"] == "the key itself"
    assert job["volumes"] == [each for each in service["volumes"] if each["containerPath"] != "/run/files"]
    assert "the key itself" not in json.dumps(job["envs"])


def test_what_comes_after_it_does_not_run_again_when_it_is_gone(run_program: RunProgram) -> None:
    loaded, gone = (run_program(BUCKET, recover=recover) for recover in ("latest", ""))
    assert loaded.system is not None
    assert gone.system is not None
    assert loaded.system.release == gone.system.release
    names = set(loaded.of(CONTAINER)) - {JOB}
    assert names == set(gone.of(CONTAINER))
    assert all(loaded.of(CONTAINER)[name] == gone.of(CONTAINER)[name] for name in names)


def test_without_a_bucket_it_is_refused_before_anything_is_declared(run_program: RunProgram) -> None:
    with pytest.raises(pulumi.RunError, match="backupS3Bucket is not set"):
        run_program(recover="latest")
