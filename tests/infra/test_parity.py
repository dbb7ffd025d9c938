"""Both platforms run the whole of a system: what one of them leaves out is named here, with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest

from infra.model import EVERYWHERE, Job, Limits, Probe, Service, System
from infra.platforms.docker.workload import SHARES, duration
from infra.platforms.kubernetes import control, pod, stack
from infra.settings import schema
from tests.infra.conftest import CONTAINER, NETWORK, VOLUME, Declared, RunProgram

URL = "postgresql+psycopg://app:password@db.example.com:6432/app"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
SYSTEMS: dict[str, dict[str, str]] = {
    "usual": {},
    "scaled": {"replicas": "3", "webMemory": "384", "webCpus": "1.5", "drainSeconds": "11"},
    "warm": {"warmPaths": '["/", "/healthz"]', "readySeconds": "77", "siteUrl": "https://other.example.com"},
    "patient": {"migrationLockTimeout": "30", "migrationLockAttempts": "9", "migrationLockWait": "0"},
    "saml": {
        "samlIdpEntityId": "https://idp.example.com/", "samlIdpMetadataUrl": "https://idp.example.com/metadata",
        "samlSpKeyVersion": "2",
    },
    "kept elsewhere": {
        "backupS3Bucket": "copies", "backupS3Endpoint": "https://s3.example.com:9000", "backupS3AccessKey": "id",
        "backupS3SecretKey": "key", "backupWebhookUrl": "https://hooks.example.com/1", "releaseKey": "ab" * 32,
        "backupRecipients": f'["age1{"q" * 58}"]', "backupS3Authorities": CERTIFICATE,
    },
    "archived": {"pitr": "true", "pitrHour": "4", "pitrKeepDays": "30", "databaseMemory": "640"},
    "archived elsewhere": {
        "pitr": "true", "pitrS3Bucket": "logs", "pitrS3Endpoint": "https://s3.example.com:9000",
        "pitrS3AccessKey": "id", "pitrS3SecretKey": "key", "pitrS3Authorities": CERTIFICATE, "releaseKey": "ab" * 32,
        "databaseVolume": "database-2", "databaseVolumesKept": "database", "databaseRestore": "database-2@latest",
    },
    "taken back": {
        "pitr": "true", "databaseVolume": "database-3", "databaseVolumesKept": "database database-2",
        "databaseRestore": "database-3@2026-11-22T14:05:00Z",
    },
    "managed": {"databaseUrl": URL, "databaseOwnerUrl": URL, "releaseKey": "ab" * 32},
}  # fmt: skip
OF_THE_PLATFORM = {"gateway-update", "switch", "db-restore-gate"}
"""What Docker has besides: the cluster hands over files when a pod starts, moves traffic by itself, and knows roles."""

OF_THE_CLUSTER = {control.MIGRATIONS}
"""What Kubernetes has besides: on Docker the migrations that have run are a container, which can be started again."""
API = {(EVERYWHERE, 443), (EVERYWHERE, 6443)}
DNS = 53
"""Where a cluster's API is, for what may stop others; on Docker that is a socket."""

ELSEWHERE = {"gateway": {"env", "stop_seconds", "files"}, "db-restore": {"env"}}
"""What a part says differently on each: one gateway of several takes its leave, and finds its peers by name; a restore
asks the gate on one, and the cluster's API on the other."""

Inputs = Mapping[str, Any]


RUNS: dict[str, tuple[Declared, Declared]] = {}
"""What each system is on Docker and on Kubernetes: declared once, and looked at by every test."""


@pytest.fixture(params=SYSTEMS)
def runs(
    request: pytest.FixtureRequest, run_program: RunProgram, on_kubernetes: dict[str, str]
) -> tuple[Declared, Declared]:
    """One system on both platforms."""
    name = request.param
    if name not in RUNS:
        same = {"siteUrl": on_kubernetes["siteUrl"]}
        RUNS[name] = run_program(same | SYSTEMS[name]), run_program(on_kubernetes | SYSTEMS[name])
    return RUNS[name]


@pytest.fixture
def on_docker(runs: tuple[Declared, Declared]) -> Declared:
    """The system on Docker."""
    return runs[0]


@pytest.fixture
def in_cluster(runs: tuple[Declared, Declared]) -> Declared:
    """The system on Kubernetes."""
    return runs[1]


@pytest.fixture
def described(on_docker: Declared, in_cluster: Declared) -> System:
    """The system itself, the same for both."""
    assert on_docker.system is not None
    assert on_docker.outputs["release"] == in_cluster.outputs["release"]
    return on_docker.system


def own(declared: Declared, name: str) -> Service | Job:
    """Return a workload as it was described for the platform it was declared on."""
    assert declared.system is not None
    return next(each for each in declared.system.declared if each.name == name)


def containers(declared: Declared, each: Service | Job) -> list[Inputs]:
    """Return a workload's containers on Docker."""
    found = [inputs for inputs in declared.of(CONTAINER).values() if label(inputs, "scaffold.service") == each.name]
    assert len(found) == (each.replicas if isinstance(each, Service) and each.release else 1), each.name
    return found


def label(inputs: Inputs, name: str) -> str | None:
    """Return a label of a Docker object."""
    return {row["label"]: row["value"] for row in inputs["labels"]}.get(name)


def template(declared: Declared, each: Service | Job) -> Inputs:
    """Return the template of a workload's pods on Kubernetes."""
    (found,) = (
        inputs["spec"]["template"]
        for kind in ("Deployment", "StatefulSet", "Job")
        for inputs in declared.objects(kind).values()
        if inputs["metadata"]["labels"][stack.NAME] == each.name
    )
    assert found["metadata"]["labels"][stack.NAME] == each.identity
    return dict(found)


def spec(declared: Declared, each: Service | Job) -> Inputs:
    """Return a workload's pod on Kubernetes."""
    return dict(template(declared, each)["spec"])


def told(each: Service | Job, digest: str) -> dict[str, str]:
    """Return what a workload finds in its environment; `digest` names its image."""
    if not isinstance(each, Job):
        return dict(each.workload.env)
    return {**each.workload.env, **each.notes, **({each.digest_as: digest} if each.digest_as else {})}


def only(declared: Declared, each: Service | Job) -> Inputs:
    """Return the container of a workload's pod."""
    (found,) = spec(declared, each)["containers"]
    return dict(found)


def test_a_part_is_described_the_same_for_both_but_for_what_is_named_here(
    described: System, in_cluster: Declared
) -> None:
    for each in described.declared:
        other = own(in_cluster, each.name)
        differing = {key for key, value in plain(each).items() if plain(other)[key] != value}
        assert differing <= ELSEWHERE.get(each.name, set()) | {"replicas"}, each.name


def plain(each: Service | Job) -> dict[str, Any]:
    """Return a workload as plain data, its files by their fingerprints."""
    outer = {key: value for key, value in vars(each).items() if key != "workload"}
    inner = vars(each.workload) | {"files": [(file.name, file.fingerprint) for file in each.workload.files]}
    return outer | inner


def test_every_service_and_every_job_is_on_both(described: System, on_docker: Declared, in_cluster: Declared) -> None:
    assert len(described.declared) >= 4
    names = {each.name for each in described.declared}
    of_docker = {str(label(inputs, "scaffold.service")) for inputs in on_docker.of(CONTAINER).values()}
    assert {name for name in of_docker - OF_THE_PLATFORM if not name.endswith("-files")} == names
    of_cluster = {
        inputs["metadata"]["labels"][stack.NAME]: kind
        for kind in ("Deployment", "StatefulSet", "Job")
        for inputs in in_cluster.objects(kind).values()
    }
    assert set(of_cluster) - OF_THE_CLUSTER == names
    for each in described.declared:
        assert (of_cluster[each.name] == "Job") == isinstance(each, Job)
        assert containers(on_docker, each)[0]["mustRun"] is isinstance(each, Service)


def test_every_setting_command_user_and_limit_is_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    for each in described.declared:
        workload = each.workload
        for inputs in containers(on_docker, each):
            environment = dict(entry.split("=", 1) for entry in inputs["envs"])
            assert environment == told(each, f"sha256:{'1' * 64}")
            assert (inputs.get("command") or []) == list(workload.command)
            assert inputs["user"] == f"{workload.user}:{workload.group}"
            assert inputs["memory"] == workload.limits.memory
            assert {row["name"]: row["hard"] for row in inputs["ulimits"]} == {
                "nofile": workload.limits.open_files,
                "nproc": workload.limits.processes,
            }
            assert (inputs.get("cpuShares") == SHARES) == (isinstance(each, Job) or workload.limits.gives_way)
            assert inputs["tmpfs"]["/tmp"].endswith(f"size={workload.limits.tmp}m")
        inside = only(in_cluster, each)
        environment = {row["name"]: row["value"] for row in inside["env"]}
        assert environment == told(own(in_cluster, each.name), inside["image"])
        assert inside.get("args", []) == list(workload.command)
        assert spec(in_cluster, each)["securityContext"]["runAsUser"] == workload.user
        limits = inside["resources"]["limits"]
        assert limits["memory"] == f"{workload.limits.memory}Mi"
        assert limits["cpu"] == pod.millicores(workload.limits.cpus)
        of_limit = pod.OF_LIMIT * 8 if workload.limits.gives_way else pod.OF_LIMIT
        assert inside["resources"]["requests"]["cpu"] == pod.millicores(workload.limits.cpus, of_limit)
        (tmp,) = (row for row in spec(in_cluster, each)["volumes"] if row["name"] == "tmp")
        assert tmp["emptyDir"]["sizeLimit"] == f"{workload.limits.tmp}Mi"


def test_how_long_a_migration_waits_is_told_to_whatever_moves_the_schema_on_both(
    described: System, on_docker: Declared, in_cluster: Declared, request: pytest.FixtureRequest
) -> None:
    given = SYSTEMS[request.node.callspec.params["runs"]]
    wanted = {
        name: given.get(key, str(schema()[key]["default"]))
        for key in schema()
        if key.startswith("migration")
        for name in [re.sub(r"(?=[A-Z])", "_", key).upper()]
    }
    assert len(wanted) == 5
    moving = [job for job in described.jobs if "scaffold:create_app" in job.workload.command]
    assert {job.name for job in moving} == {"migrate", "record"}
    for job in moving:
        (inputs,) = containers(on_docker, job)
        assert wanted.items() <= dict(entry.split("=", 1) for entry in inputs["envs"]).items()
        assert wanted.items() <= {row["name"]: row["value"] for row in only(in_cluster, job)["env"]}.items()


def test_no_limit_is_left_out_but_what_a_pod_has_no_field_for() -> None:
    assert {field.name for field in fields(Limits)} == {"memory", "cpus", "tmp", "gives_way"} | pod.LEFT_TO_THE_NODE


def test_every_file_is_on_both_the_secret_ones_apart(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    counted = 0
    for each in described.declared:
        for file in each.workload.files:
            counted += 1
            assert file.name in docker_files(on_docker, each), f"{each.name} has no {file.name} on Docker"
            kind = "Secret" if file.secret else "ConfigMap"
            assert file.name in cluster_files(in_cluster, each, kind), f"{each.name} has no {file.name} in a {kind}"
            other = "ConfigMap" if file.secret else "Secret"
            assert file.name not in cluster_files(in_cluster, each, other)
    assert counted >= 6


def docker_files(declared: Declared, each: Service | Job) -> set[str]:
    """Return the files that reach a workload on Docker, by whichever one-shot."""
    mine = {each.name, f"{each.name}-files", f"{each.name}-update"}
    return {
        upload["file"].rpartition("/")[2]
        for inputs in declared.of(CONTAINER).values()
        if label(inputs, "scaffold.service") in mine
        for upload in revealed(inputs.get("uploads") or [])
    }


def revealed(value: Any) -> Any:
    """Return what a secret holds, as the mocks give it; anything else as it is."""
    return value["value"] if isinstance(value, dict) and value.keys() > {"value"} else value


def cluster_files(declared: Declared, each: Service | Job, kind: str) -> set[str]:
    """Return the files that reach a workload on Kubernetes from objects of a kind: projected, and really mounted."""
    source = {"Secret": "secret", "ConfigMap": "configMap"}[kind]
    projected = [row["projected"] for row in spec(declared, each)["volumes"] if "projected" in row]
    named = {entry[source]["name"] for row in projected for entry in row["sources"] if source in entry}
    assert all(
        row["mountPath"] == "/run/files" for row in only(declared, each)["volumeMounts"] if row["name"] == "files"
    )
    found: set[str] = set()
    for name, inputs in declared.objects(kind).items():
        if f"{name}-made-up" in named:
            found |= set(revealed(inputs.get("data") or inputs["stringData"]))
    return found


def test_every_volume_is_mounted_where_the_model_says_and_data_is_kept(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    counted = 0
    data = {volume.name for volume in described.volumes if volume.data}
    assert {f"volume-{volume.name}" for volume in described.volumes} <= set(on_docker.of(VOLUME))
    assert {inputs["metadata"]["name"] for inputs in in_cluster.objects("PersistentVolumeClaim").values()} == data
    for each in described.declared:
        for mount in each.workload.mounts:
            counted += 1
            for inputs in containers(on_docker, each):
                paths = {row["containerPath"]: row["volumeName"] for row in inputs["volumes"]}
                assert paths[mount.path] == f"scaffold-unit-{mount.volume}"
            (inside,) = (row for row in only(in_cluster, each)["volumeMounts"] if row["mountPath"] == mount.path)
            (behind,) = (row for row in spec(in_cluster, each)["volumes"] if row["name"] == inside["name"])
            if mount.volume in data:
                assert behind["persistentVolumeClaim"]["claimName"] == mount.volume
    assert counted >= 1


def test_a_flag_is_kept_where_no_update_touches_it_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    flagged = [each for each in described.services if each.flag]
    assert [each.name for each in flagged] == ["gateway"]
    for each in flagged:
        folder, _, name = each.flag.rpartition("/")
        assert name
        for inputs in containers(on_docker, each):
            kept = [row for row in inputs["volumes"] if each.flag.startswith(f"{row['containerPath']}/")]
            assert [row["readOnly"] for row in kept] == [False]
            assert kept[0]["volumeName"] in {inputs["name"] for inputs in on_docker.of(VOLUME).values()}
        (inside,) = (row for row in only(in_cluster, each)["volumeMounts"] if row["mountPath"] == folder)
        assert inside["readOnly"] is True
        assert "subPath" not in inside
        (behind,) = (row for row in spec(in_cluster, each)["volumes"] if row["name"] == inside["name"])
        (flag,) = (
            inputs
            for inputs in in_cluster.objects("ConfigMap").values()
            if inputs["metadata"].get("name") == behind["configMap"]["name"]
        )
        assert not {"data", "immutable"} & set(flag), "the verb writes it, and nobody else"


def where(in_cluster: Declared, each: Service | Job) -> set[str]:
    """The claims whose node a workload asks for, which its own pods carry as labels too: whoever comes first may."""
    demands = spec(in_cluster, each)["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = {key for demand in demands for key in demand["labelSelector"]["matchLabels"]}
    assert labels <= template(in_cluster, each)["metadata"]["labels"].keys()
    return labels


def test_whoever_mounts_a_claim_that_others_mount_asks_for_the_node_of_the_others(
    described: System, in_cluster: Declared
) -> None:
    mounted: dict[str, set[str]] = {}
    for each in described.declared:
        for volume in spec(in_cluster, each)["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                mounted.setdefault(f"claim-{claim['claimName']}", set()).add(each.name)
    shared = {label for label, names in mounted.items() if len(names) > 1}
    for each in described.declared:
        wanted = {label for label in shared if each.name in mounted[label]}
        assert (where(in_cluster, each) if "affinity" in spec(in_cluster, each) else set()) == wanted, each.name


def test_a_job_beside_a_service_shares_its_volumes_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    for each in described.jobs:
        if each.beside is None:
            assert "affinity" not in spec(in_cluster, each)
            continue
        service = described.service(each.beside)
        assert where(in_cluster, each) & where(in_cluster, service)
        shared = {mount.path for mount in each.workload.mounts} & {mount.path for mount in service.workload.mounts}
        assert shared
        for path in shared:
            (mine,) = (row for row in only(in_cluster, each)["volumeMounts"] if row["mountPath"] == path)
            (its,) = (row for row in only(in_cluster, service)["volumeMounts"] if row["mountPath"] == path)
            assert mine == its
            assert (containers(on_docker, each)[0].get("networkMode") == "none") == (not each.workload.egress)


def test_a_service_beside_another_is_on_its_node_and_sees_the_same_files_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    for each in described.services:
        if not each.beside:
            continue
        other = described.service(each.beside)
        assert where(in_cluster, each) & where(in_cluster, other)
        common = {m.volume for m in each.workload.mounts} & {m.volume for m in other.workload.mounts}
        assert common
        for name in common:
            mine, its = (
                {
                    (row["name"], row.get("subPath"))
                    for row in only(in_cluster, one)["volumeMounts"]
                    for mount in one.workload.mounts
                    if mount.volume == name and row["mountPath"] == mount.path
                }
                for one in (each, other)
            )
            assert mine == its != set()
            on_one_machine = [
                {row.get("volumeName") for row in containers(on_docker, one)[0]["volumes"]} for one in (each, other)
            ]
            assert f"scaffold-unit-{name}" in on_one_machine[0] & on_one_machine[1]


def test_what_may_stop_others_reaches_these_alone_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    controlling = {each.name: each.controls for each in described.services if each.controls}
    with_socket = {
        name
        for name, inputs in on_docker.of(CONTAINER).items()
        if any("docker.sock" in str(row.get("hostPath")) for row in inputs.get("volumes") or [])
    }
    assert with_socket == {f"{name}-gate" for name in controlling}
    with_token = {
        template["spec"]["serviceAccountName"]
        for kind in ("Deployment", "StatefulSet", "Job")
        for template in (inputs["spec"]["template"] for inputs in in_cluster.objects(kind).values())
        if template["spec"]["automountServiceAccountToken"]
    }
    assert with_token == set(controlling)
    for name, wanted in controlling.items():
        told = dict(row.split("=", 1) for row in on_docker.of(CONTAINER)[f"{name}-gate"]["envs"])
        assert told["RESTORE_SERVICES"] == ",".join(wanted.services)
        role = in_cluster.objects("Role")[f"role-{name}"]
        named = {resource for rule in role["rules"] for resource in rule.get("resourceNames", ())}
        assert named == {*wanted.services, control.MIGRATIONS}
        assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "patch"}
        bound = in_cluster.objects("RoleBinding")[f"binding-{name}"]
        assert [each["name"] for each in bound["subjects"]] == [name]


def test_every_probe_is_asked_on_both(described: System, on_docker: Declared, in_cluster: Declared) -> None:
    assert {field.name for field in fields(Probe)} == {
        "command", "alive", "interval_seconds", "timeout_seconds", "retries", "grace_seconds",
    }  # fmt: skip
    for each in described.services:
        probe = each.probe
        for inputs in containers(on_docker, each):
            asked = inputs["healthcheck"]
            assert asked["tests"] == ["CMD", *probe.command]
            assert (asked["interval"], asked["retries"]) == (duration(probe.interval_seconds), probe.retries)
        inside = only(in_cluster, each)
        ready = inside["readinessProbe"]
        assert " ".join(probe.command) in " ".join(ready["exec"]["command"])
        assert (ready["periodSeconds"], ready["failureThreshold"]) == (probe.interval_seconds, probe.retries)
        assert ready["timeoutSeconds"] >= probe.timeout_seconds
        start = inside["startupProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] >= probe.grace_seconds
        assert ("livenessProbe" in inside) == bool(probe.alive)
        if probe.alive:
            assert inside["livenessProbe"]["exec"]["command"] == list(probe.alive)


def test_who_may_call_whom_is_the_same_on_both(described: System, on_docker: Declared, in_cluster: Declared) -> None:
    names = [each.name for each in described.identities]
    assert len(names) >= 4
    declared_edges = {
        (caller, service.name, service.port) for service in described.services for caller in described.callers(service)
    }
    assert declared_edges
    assert cluster_edges(in_cluster, names) == declared_edges
    # Docker's networks are the same in both directions.
    assert docker_pairs(on_docker, described) == {frozenset((caller, callee)) for caller, callee, _ in declared_edges}


def policies(declared: Declared, name: str) -> Iterator[Inputs]:
    """Yield the policies that hold for a workload's pods."""
    for inputs in declared.objects("NetworkPolicy").values():
        wanted = inputs["spec"]["podSelector"].get("matchLabels", {})
        if not wanted or wanted == {stack.NAME: name}:
            yield inputs["spec"]


def cluster_edges(declared: Declared, names: list[str]) -> set[tuple[str, str, int]]:
    """Return who reaches whom at which port: where both ends allow it, and both ends deny everything else."""
    outward, inward = set(), set()
    for name in names:
        mine = list(policies(declared, name))
        assert {kind for each in mine for kind in each["policyTypes"]} == {"Ingress", "Egress"}
        outward |= {(name, *edge) for each in mine for edge in selected(each.get("egress", []), "to")}
        inward |= {(caller, name, port) for each in mine for caller, port in selected(each.get("ingress", []), "from")}
    assert outward == inward
    return outward


def selected(rules: list[Inputs], end: str) -> Iterator[tuple[str, int]]:
    """Yield the workloads and ports that rules name."""
    for rule in rules:
        for peer in rule.get(end, []):
            for port in rule["ports"]:
                if "podSelector" in peer:
                    yield peer["podSelector"]["matchLabels"][stack.NAME], int(port["port"])


def docker_pairs(declared: Declared, described: System) -> set[frozenset[str]]:
    """Return which workloads share an internal network that is one of theirs."""
    joined = {
        each.name: {row["name"] for row in containers(declared, each)[0].get("networksAdvanced") or []}
        for each in described.identities
    }
    return {
        frozenset((service.name, other))
        for service in described.services
        for other, networks in joined.items()
        if other != service.name and f"scaffold-unit-to-{service.name}" in networks
    }


def test_a_job_that_acts_as_another_is_where_that_one_is_with_its_files_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    acting = [job for job in described.jobs if job.acts_as]
    assert {job.name for job in acting} >= {"record"}
    for job in acting:
        (other,) = (each for each in described.jobs if each.name == job.acts_as)
        for key in ("networksAdvanced", "networkMode"):
            mine, its = containers(on_docker, job)[0].get(key), containers(on_docker, other)[0].get(key)
            assert without_aliases(mine) == without_aliases(its)
        assert docker_files(on_docker, job) == docker_files(on_docker, other)
        assert spec(in_cluster, job)["serviceAccountName"] == other.name
        for kind in ("Secret", "ConfigMap"):
            assert cluster_files(in_cluster, job, kind) == cluster_files(in_cluster, other, kind)


def without_aliases(networks: Any) -> Any:
    """Return the networks that a container joins by their names alone."""
    return [row["name"] for row in networks] if isinstance(networks, list) else networks


def test_what_is_called_outside_is_the_same_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    wanted = {each.name for each in described.declared if each.workload.egress}
    networks = {inputs["name"]: inputs["internal"] for inputs in on_docker.of(NETWORK).values()}
    of_docker = {
        each.name
        for each in described.declared
        if any(
            row["name"] == "scaffold-unit-egress"
            for row in containers(on_docker, each)[0].get("networksAdvanced") or []
        )
    }
    assert of_docker == wanted
    assert {name for name, internal in networks.items() if not internal} <= {
        "scaffold-unit-edge",
        "scaffold-unit-egress",
    }
    for each in described.declared:
        blocks = {
            (cidr, int(port["port"]))
            for policy in policies(in_cluster, each.identity)
            for rule in policy.get("egress", [])
            for cidr in reached(rule)
            for port in rule["ports"]
            if port["port"] != DNS
        }
        declared = {(egress.cidr, egress.port) for egress in each.workload.egress}
        if isinstance(each, Service) and each.controls:
            # And the port by which this machine knows it.
            assert blocks >= API | declared
            assert len(blocks - API - declared) <= 1
        else:
            assert blocks == declared


def reached(rule: dict[str, Any]) -> list[str]:
    """The networks that a rule leads to; one that names nobody leads everywhere."""
    return [peer["ipBlock"]["cidr"] for peer in rule["to"] if "ipBlock" in peer] if rule.get("to") else [EVERYWHERE]


def test_names_are_asked_for_by_who_calls_something_and_by_nobody_else(described: System, in_cluster: Declared) -> None:
    for each in described.declared:
        calls = bool(each.workload.egress) or any(each.identity in described.callers(s) for s in described.services)
        rules = [rule for policy in policies(in_cluster, each.identity) for rule in policy.get("egress", [])]
        ports = [{(port["port"], port["protocol"]) for port in rule["ports"]} for rule in rules if not rule.get("to")]
        assert [each for each in ports if (DNS, "UDP") in each] == ([{(DNS, "UDP"), (DNS, "TCP")}] if calls else [])


def test_only_what_is_published_is_reached_from_outside_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    published = {service.name for service in described.services if service.published}
    assert published == {"gateway"}
    for each in described.declared:
        has_ports = any(inputs.get("ports") for inputs in containers(on_docker, each))
        assert has_ports == (each.name in published)
        anybody = [
            rule
            for policy in policies(in_cluster, each.name)
            for rule in policy.get("ingress", [])
            if "from" not in rule
        ]
        wanted = [{"ports": [{"port": 8080, "protocol": "TCP"}]}] if each.name in published else []
        assert json.loads(json.dumps(anybody)) == wanted


def test_a_service_is_stopped_as_patiently_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    for each in described.services:
        assert containers(on_docker, each)[0]["destroyGraceSeconds"] == each.stop_seconds
        inside = only(in_cluster, each)
        leaving = inside.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        mine = own(in_cluster, each.name)
        assert isinstance(mine, Service)
        assert spec(in_cluster, each)["terminationGracePeriodSeconds"] == mine.stop_seconds + leaving


def test_what_a_release_must_answer_first_is_asked_on_both(
    described: System, on_docker: Declared, in_cluster: Declared
) -> None:
    (switch,) = (each for name, each in on_docker.of(CONTAINER).items() if name == "switch")
    told = dict(entry.split("=", 1) for entry in switch["envs"])
    assert told["WARM_PATHS"] == ",".join(described.route.warm_paths)
    assert told["READY_TIMEOUT"] == str(described.route.ready_seconds)
    inside = only(in_cluster, described.service(described.route.service))
    for path in described.route.warm_paths:
        assert f"ask {path}" in inside["readinessProbe"]["exec"]["command"][-1]
    start = inside["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= described.route.ready_seconds
