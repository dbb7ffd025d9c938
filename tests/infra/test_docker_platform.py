"""What the program declares on Docker, against Pulumi's mocks."""

from __future__ import annotations

import json
from pathlib import Path

import pulumi
import pytest

from infra.platforms.docker import daemon, job, leftover
from infra.settings import SettingsError
from tests.infra.conftest import CONTAINER, IMAGE, NETWORK, VOLUME, RunProgram

RELEASE_KEY = "ab" * 32
SECRET = "k3y-0123456789-abcdefghijklmnopqrstuvwxyz"


def kinds(names: list[str]) -> set[str]:
    """Return container names without their release and number."""
    return {"-".join(part for part in name.split("-") if not part.isdigit() and len(part) != 10) for name in names}


def test_the_system_runs_as_these_containers_networks_and_volumes(run_program: RunProgram) -> None:
    declared = run_program()
    assert kinds(list(declared.of(CONTAINER))) == {
        "gateway",
        "gateway-update",
        "database",
        "database-roles",
        "db-backup",
        "db-backup-files",
        "db-restore",
        "db-restore-files",
        "db-restore-gate",
        "db-restore-loader",
        "db-restore-loader-files",
        "migrate",
        "record",
        "web-files",
        "web",
        "switch",
    }
    assert set(declared.of(NETWORK)) == {"network-edge", "network-to-web", "network-to-database"}
    assert set(declared.of(IMAGE)) == {"image-app", "image-backup", "image-gateway", "image-database"}
    kept = {"volume-backups", "volume-backup-work", "volume-gateway", "volume-database", "volume-database-socket"}
    assert kept < set(declared.of(VOLUME))


def test_every_image_is_named_by_its_content_and_by_whose_it_is(run_program: RunProgram) -> None:
    declared = run_program()
    names = {inputs["name"] for inputs in declared.of(IMAGE).values()}
    assert declared.system is not None
    assert names == {f"scaffold-{image.name}:{image.tag}-unit" for image in declared.system.images.values()}
    assert {inputs["image"] for inputs in declared.of(CONTAINER).values()} == names


def test_the_files_of_a_release_do_not_wait_for_its_image(run_program: RunProgram) -> None:
    containers = run_program().of(CONTAINER)
    laying = {name.rpartition("-")[0]: inputs["image"] for name, inputs in containers.items() if "-files-" in name}
    assert laying["web-files"] == containers["gateway"]["image"]
    assert laying["db-backup-files"] == containers["db-backup"]["image"]


def test_the_release_s_image_is_asked_for_before_the_others(run_program: RunProgram) -> None:
    assert next(iter(run_program().of(IMAGE))) == "image-app"


@pytest.mark.parametrize("listed", [True, False])
def test_the_daemon_is_asked_only_about_a_name_that_was_there_before(
    listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def labels_of(_host: str, name: str) -> str:
        asked.append(name)
        return "other"

    monkeypatch.setattr(daemon, "labels_of", labels_of)
    said = leftover.in_the_way("", {"web"} if listed else set(), "web")
    assert asked == (["web"] if listed else [])
    assert ("container web of stack other exists" in said) == listed


def test_only_the_gateway_publishes_a_port_and_only_its_network_is_not_internal(run_program: RunProgram) -> None:
    declared = run_program({"gatewayPort": "8123", "replicas": "3"})
    publishing = {name: inputs["ports"] for name, inputs in declared.of(CONTAINER).items() if inputs.get("ports")}
    assert list(publishing) == ["gateway"]
    assert publishing["gateway"] == [{"internal": 8080, "external": 8123, "ip": "127.0.0.1", "protocol": "tcp"}]
    assert {name for name, inputs in declared.of(NETWORK).items() if not inputs["internal"]} == {"network-edge"}


def test_every_container_is_hardened(run_program: RunProgram) -> None:
    containers = run_program({"replicas": "2"}).of(CONTAINER)
    assert len(containers) == 17
    for name, inputs in containers.items():
        job = inputs["mustRun"] is False
        assert inputs["capabilities"]["drops"] == ["ALL"], name
        assert inputs["securityOpts"] == ["no-new-privileges:true"], name
        assert inputs["memory"] == inputs["memorySwap"] > 0, name
        assert not inputs.get("privileged"), name
        if not job:
            assert inputs["readOnly"], name
            assert inputs["healthcheck"]["tests"][0] == "CMD", name
            assert inputs["logOpts"] == {"max-size": "10m", "max-file": "5"}, name
        if "-files-" not in name and not name.endswith("-gate"):
            assert int(inputs["user"].split(":")[0]) > 10000, name


def test_each_container_joins_just_the_networks_of_its_declared_edges(run_program: RunProgram) -> None:
    containers = run_program().of(CONTAINER)
    joined = {
        name: {network["name"].removeprefix("scaffold-unit-") for network in inputs.get("networksAdvanced") or []}
        for name, inputs in containers.items()
    }
    by_kind = {next(iter(kinds([name]))): networks for name, networks in joined.items()}
    assert by_kind == {
        "gateway": {"edge", "to-web"},
        "gateway-update": set(),
        "database": {"to-database"},
        "database-roles": set(),
        "db-backup": {"to-database"},
        "db-backup-files": set(),
        "db-restore": {"to-database"},
        "db-restore-files": set(),
        "db-restore-gate": set(),
        "db-restore-loader": {"to-database"},
        "db-restore-loader-files": set(),
        "migrate": {"to-database"},
        "record": {"to-database"},
        "web-files": set(),
        "web": {"to-web", "to-database"},
        "switch": {"to-web"},
    }
    for name, inputs in containers.items():
        if not joined[name]:
            assert inputs["networkMode"] == "none", name


def test_no_secret_is_in_an_environment_a_command_or_a_label(run_program: RunProgram) -> None:
    declared = run_program({"secretKey": SECRET, "releaseKey": RELEASE_KEY})
    known = [SECRET, RELEASE_KEY, "value-of-"]
    looked_at = 0
    for inputs in declared.of(CONTAINER).values():
        open_text = json.dumps({key: inputs.get(key) for key in ("envs", "command", "entrypoints", "labels", "name")})
        looked_at += 1
        for secret in known:
            assert secret not in open_text
    assert looked_at == 16


def test_a_secret_in_clear_text_is_refused(run_program: RunProgram) -> None:
    with pytest.raises(SettingsError, match="secretKey: stored in clear text") as caught:
        run_program({"secretKey": SECRET}, encrypted=False)
    assert SECRET not in str(caught.value)


def test_a_changed_secret_makes_a_new_release_and_an_unchanged_one_does_not(run_program: RunProgram) -> None:
    base = {"secretKey": SECRET, "releaseKey": RELEASE_KEY}
    one = run_program(base).outputs["release"]
    assert run_program(base).outputs["release"] == one
    assert run_program(base | {"secretKey": SECRET + "x"}).outputs["release"] != one
    assert run_program(base | {"databasePasswordVersion": "2"}).outputs["release"] != one
    assert run_program(base | {"maintenanceMessage": "Back at noon."}).outputs["release"] != one
    assert run_program(base | {"replicas": "2"}).outputs["release"] == one


def test_no_limit_is_above_what_the_machine_has(run_program: RunProgram) -> None:
    declared = run_program({"webCpus": "64.0", "databaseCpus": "0.5"})
    limits = {next(iter(kinds([name]))): inputs.get("cpus") for name, inputs in declared.of(CONTAINER).items()}
    assert limits["web"] == limits["gateway"] == limits["migrate"] == "2.0"
    assert limits["database"] == "0.5"


def test_a_release_setting_leaves_the_gateways_container_as_it_is(run_program: RunProgram) -> None:
    changed = {
        "drainSeconds": "120",
        "readySeconds": "20",
        "siteUrl": "https://other.example.com",
        "siteName": "Other",
        "trustedProxies": '["10.0.0.0/8"]',
        "replicas": "3",
        "webMemory": "256",
        "webCpus": "1.0",
        "maintenanceMessage": "Back at noon.",
        "logLevel": "debug",
        "warmPaths": '["/", "/healthz"]',
    }
    assert run_program(changed).of(CONTAINER)["gateway"] == run_program().of(CONTAINER)["gateway"]


def test_no_container_has_an_entrypoint_of_its_own(run_program: RunProgram) -> None:
    # With one, the provider takes a container whose start failed for done.
    containers = run_program().of(CONTAINER)
    assert len(containers) == 16
    assert [name for name, inputs in containers.items() if inputs.get("entrypoints")] == []


def test_the_context_chosen_for_the_command_line_means_nothing(
    docker: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "elsewhere"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    assert daemon.processors("") > 0


def test_a_failed_job_is_removed_and_fails_the_update_with_its_last_words(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(daemon, "remove", lambda _host, container: removed.append(container))
    with pytest.raises(pulumi.RunError, match="job database-roles failed with exit code 3") as caught:
        run_program(exit_codes={"database-roles": 3})
    assert "the last words" in str(caught.value)
    assert removed == ["id-of-database-roles"]


def test_a_failure_is_told_for_people(run_program: RunProgram) -> None:
    line = {
        "level": "critical",
        "event": "uncaught exception",
        "exception": "a\nb\nc\nd\ne\nf: no such table",
        "pid": 7,
    }
    said = job.failure("migrate", 1, f"plain words\n{json.dumps(line)}\n")
    assert "    plain words\n    critical: uncaught exception pid=7\n      b\n" in said
    assert "f: no such table\n" in said


def test_a_preview_never_removes_anything(run_program: RunProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: str, container: str) -> None:
        raise AssertionError(f"{container} would have been removed")

    monkeypatch.setattr(daemon, "remove", refuse)
    declared = run_program(exit_codes={"database-roles": 3}, preview=True)
    assert "switch" in declared.of(CONTAINER)


def test_a_managed_database_is_checked_and_none_is_run(run_program: RunProgram) -> None:
    url = "postgresql+psycopg://app:password@db.example.com:6432/app"
    declared = run_program({"databaseUrl": url, "databaseOwnerUrl": url, "releaseKey": RELEASE_KEY})
    containers = declared.of(CONTAINER)
    assert "database" not in containers
    assert "database-check" in containers
    assert set(declared.of(NETWORK)) == {"network-edge", "network-egress", "network-to-web"}
    assert "volume-database" not in declared.of(VOLUME)
    outside = [
        name for name, inputs in containers.items() if "scaffold-unit-egress" in str(inputs.get("networksAdvanced"))
    ]
    assert kinds(outside) == {"database-check", "db-backup", "migrate", "record", "web"}


def test_the_switch_is_one_resource_told_every_replica_of_the_release(run_program: RunProgram) -> None:
    declared = run_program({"replicas": "2"})
    release = declared.outputs["release"]
    environment = dict(entry.split("=", 1) for entry in declared.of(CONTAINER)["switch"]["envs"])
    assert environment["RELEASE"] == release
    assert environment["PEERS"] == f"web-{release}-1:8000,web-{release}-2:8000"
    for number in (1, 2):
        (network,) = (
            joined
            for joined in declared.of(CONTAINER)[f"web-{release}-{number}"]["networksAdvanced"]
            if joined["name"] == "scaffold-unit-to-web"
        )
        assert network["aliases"] == ["web", f"web-{release}-{number}"]
