"""The verbs on a stack on the cluster, in order: refuse, up, look, mend, stop, come back, migrate, destroy."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from operate.kubernetes.kinds import KINDS
from tests.conftest import until
from tests.kubernetes.cluster import RunningCluster
from tests.kubernetes.site import free_node_port
from tests.kubernetes.verbs import PROJECT, ClusterClone, make_cluster_clone, write_settings

PREFIX = "verbs-"
STRAY = """
apiVersion: v1
kind: ConfigMap
metadata: {name: stray, namespace: NAMESPACE, labels: LABELS}
---
apiVersion: batch/v1
kind: Job
metadata: {name: stray, namespace: NAMESPACE, labels: LABELS}
spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}
"""
FRONT = """
apiVersion: v1
kind: Service
metadata: {name: front, namespace: NAMESPACE}
spec: {type: NodePort, selector: {a: b}, ports: [{port: 80, nodePort: PORT}]}
"""


@pytest.fixture(scope="module")
def clean(cluster: RunningCluster) -> RunningCluster:
    """The cluster without what killed runs of these tests left."""
    cluster.remove_what_dead_runs_left(f"{PROJECT}-{PREFIX}")
    return cluster


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, clean: RunningCluster, run_id: str) -> Iterator[ClusterClone]:
    """A clone on which no `up` went well, for what is refused before anything is changed."""
    clone = make_cluster_clone(tmp_path_factory.mktemp("refused"), clean, f"{PREFIX}{run_id}-no", free_node_port())
    yield clone
    clean.remove_namespace(clone.namespace)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, clean: RunningCluster, run_id: str) -> Iterator[ClusterClone]:
    """A clone after its first `make up`."""
    clone = make_cluster_clone(tmp_path_factory.mktemp("verbs"), clean, f"{PREFIX}{run_id}", free_node_port())
    try:
        code, said = clone.make("up")
        assert code == 0, said
        yield clone
    finally:
        clean.remove_namespace(clone.namespace)


def refused(clone: ClusterClone, **variables: str) -> str:
    """Run `make up`, see that it refused and changed nothing, and return what it said."""
    code, said = clone.make("up", **variables)
    assert code == 2, said
    assert "Nothing was changed." in said
    assert not (clone.state / "backend").exists()
    return said


def apply(clone: ClusterClone, text: str, folder: Path) -> None:
    """Have kubectl apply a manifest."""
    file = folder / "manifest.yaml"
    file.write_text(text)
    clone.cluster.kubectl("apply", "--filename", str(file))


def test_a_kubeconfig_that_is_not_there_is_named_and_no_other_cluster_taken(fresh: ClusterClone) -> None:
    assert "no kubeconfig at /nowhere/config: set KUBECONFIG" in refused(fresh, KUBECONFIG="/nowhere/config")


def test_a_context_that_is_not_in_it_is_named_with_those_that_are(fresh: ClusterClone) -> None:
    write_settings(fresh, kubeContext="elsewhere")
    try:
        said = refused(fresh)
    finally:
        write_settings(fresh)
    assert "no context 'elsewhere'; it has " in said


def test_a_cluster_that_does_not_answer_is_named_with_its_address(fresh: ClusterClone, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = f"https://127.0.0.1:{probe.getsockname()[1]}"
        text = fresh.cluster.kubeconfig.read_text()
        elsewhere = tmp_path / "kubeconfig"
        elsewhere.write_text(re.sub(r"server: \S+|\"server\": ?\"[^\"]+\"", _server(text, away), text))
        assert f"No Kubernetes cluster answers at {away}" in refused(fresh, KUBECONFIG=str(elsewhere))


def _server(text: str, address: str) -> str:
    """Return how the address of a server is written in this kubeconfig."""
    return f'"server": "{address}"' if '"server"' in text else f"server: {address}"


def test_a_registry_that_does_not_answer_is_named(fresh: ClusterClone) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        write_settings(fresh, imageRegistry=address)
        try:
            assert f"No registry answers at {address}, which imageRegistry names" in refused(fresh)
        finally:
            write_settings(fresh)


def test_a_storage_class_that_is_not_there_is_named_with_those_that_are(fresh: ClusterClone) -> None:
    url = "postgresql://app:x@db.example.com/app"
    try:
        write_settings(fresh, storageClass="gold")
        said = refused(fresh)
        assert re.search(r"no StorageClass gold, which storageClass names; it has \w", said)
        assert "set restores false" in said
        # Backups of a managed database want a claim too.
        write_settings(fresh, storageClass="gold", databaseUrl=url, databaseOwnerUrl=url)
        said = refused(fresh)
        assert "no StorageClass gold, which storageClass names" in said
        assert "set backups false" in said
        assert "set restores false" not in said
    finally:
        write_settings(fresh)


def test_a_port_on_the_nodes_that_another_service_has_is_named_with_it(fresh: ClusterClone, tmp_path: Path) -> None:
    namespace = f"{fresh.namespace}-front"
    fresh.cluster.kubectl("create", "namespace", namespace)
    try:
        apply(fresh, FRONT.replace("NAMESPACE", namespace).replace("PORT", str(fresh.port)), tmp_path)
        assert f"Port {fresh.port} of the nodes is taken by the Service {namespace}/front" in refused(fresh)
    finally:
        fresh.cluster.remove_namespace(namespace)


def test_a_namespace_that_somebody_else_made_is_refused(fresh: ClusterClone) -> None:
    fresh.cluster.kubectl("create", "namespace", fresh.namespace)
    try:
        assert f"The namespace {fresh.namespace} is there and was not made for the stack" in refused(fresh)
    finally:
        fresh.cluster.remove_namespace(fresh.namespace)


def test_a_user_without_rights_is_told_which_ones_are_wanted(fresh: ClusterClone, tmp_path: Path) -> None:
    namespace = f"{fresh.namespace}-user"
    cluster = fresh.cluster
    cluster.kubectl("create", "namespace", namespace)
    try:
        cluster.kubectl("create", "serviceaccount", "weak", "--namespace", namespace)
        token = cluster.kubectl("create", "token", "weak", "--namespace", namespace).strip()
        weak = tmp_path / "kubeconfig"
        weak.write_text(cluster.kubeconfig.read_text())
        weak.chmod(0o600)
        for arguments in (("set-credentials", "weak", f"--token={token}"), ("set-context", "--current", "--user=weak")):
            subprocess.run(
                [*cluster.command[:1], "--kubeconfig", str(weak), "config", *arguments],
                timeout=30, check=True, capture_output=True,
            )  # fmt: skip
        said = refused(fresh, KUBECONFIG=str(weak))
    finally:
        cluster.remove_namespace(namespace)
    assert f"may not do in namespace {fresh.namespace} what this stack needs" in said
    assert "deployments.apps: create, delete, get, list, patch, watch" in said
    assert "namespaces: create" in said


def test_what_up_made_serves_and_a_second_up_changes_nothing(serving: ClusterClone) -> None:
    status, _ = serving.get("/readyz")
    assert status == 200
    code, said = serving.make("up", "--expect-no-changes")
    assert code == 0, said
    assert "removed" not in said


def test_every_kind_that_the_stack_has_is_one_that_the_verbs_know(serving: ClusterClone) -> None:
    checkpoint = next((serving.state / "backend").rglob(f"{serving.stack}.json"))
    resources = json.loads(checkpoint.read_text())["checkpoint"]["latest"]["resources"]
    kinds = {each["type"].rpartition(":")[2] for each in resources if each["type"].startswith("kubernetes:")}
    assert kinds - {"Namespace", "PersistentVolumeClaim"} <= {kind.name for kind in KINDS}


def test_status_tells_what_runs_and_how_it_is_reached(serving: ClusterClone) -> None:
    code, said = serving.make("status")
    assert code == 0, said
    assert re.search(r"^  web +web +2 of 2 ready", said, re.MULTILINE), said
    assert re.search(r"^  database +database +1 of 1 ready", said, re.MULTILINE), said
    assert re.search(r"^  migrate +migrate-\w+ +done", said, re.MULTILINE), said
    assert f"reached  port {serving.port} of every node" in said
    assert re.search(
        r"^claims   backups \(\S+, bound\), database \(\S+, bound\), restore \(\S+, bound\)$", said, re.MULTILINE
    ), said


def test_logs_tell_each_line_with_its_pod_and_one_service_alone_where_it_is_named(serving: ClusterClone) -> None:
    code, said = serving.make("logs")
    assert code == 0, said
    pods = {line.partition(" | ")[0] for line in said.splitlines()}
    assert pods >= serving.names("pods")
    code, said = serving.make("logs", SERVICE="web", LINES="3")
    assert code == 0, said
    assert {line.partition("-")[0] for line in said.splitlines()} == {"web"}
    code, said = serving.make("logs", SERVICE="nothing")
    assert code == 2
    assert "has no service 'nothing'" in said
    assert "web" in said


def test_logs_that_are_followed_take_in_a_pod_that_comes_later(serving: ClusterClone) -> None:
    process = serving.start("logs", SERVICE="web", FOLLOW="yes", LINES="1")
    try:
        victim = sorted(name for name in serving.names("pods") if name.startswith("web-"))[0]
        before = serving.names("pods")
        serving.kubectl("delete", "pod", victim)
        assert process.stdout is not None
        for line in process.stdout:
            pod = line.partition(" | ")[0]
            if pod.startswith("web-") and pod not in before:
                break
        else:
            pytest.fail("the log ended")
    finally:
        interrupt(process)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C, and once more where the first was not heard; fail where none is."""
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            continue
        return
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    pytest.fail("the log goes on after Ctrl-C")


def test_migrations_run_once_more_and_leave_nothing_behind(serving: ClusterClone) -> None:
    before = serving.names("jobs")
    code, said = serving.make("migrate")
    assert code == 0, said
    assert re.search(r"^Running migrate-\w+ again\.$", said, re.MULTILINE), said
    assert "The migrations are done." in said
    until(lambda: serving.names("jobs") == before, "the job is gone")


def test_a_command_of_the_apps_own_runs_in_a_pod_that_serves(serving: ClusterClone) -> None:
    code, said = serving.make("flask", "release list --limit 1")
    assert code == 0, said
    assert re.search(rf"{serves(serving)} +serving", said), said
    code, said = serving.make("flask", "users nonsense")
    assert code == 2
    assert "No such command 'nonsense'" in said


def test_a_backup_is_made_and_restored_in_the_cluster_and_listed(serving: ClusterClone) -> None:
    code, said = serving.make("backup")
    assert code == 0, said
    assert "backup made, restored and compared" in said
    code, said = serving.make("backups")
    assert code == 0, said
    assert re.search(r"^\d{8}T\d{6}Z-\w{6} .* restored ", said, re.MULTILINE), said
    code, said = serving.make("backups", "verify latest")
    assert code == 0, said


def test_a_restore_takes_the_database_back_in_the_cluster_and_can_be_undone(serving: ClusterClone) -> None:
    code, said = serving.make("flask", "users add later@example.com --name Later")
    assert code == 0, said
    code, said = serving.make("restore", LATEST="1", YES="yes")
    assert code == 0, said
    until(lambda: serving.get("/readyz")[0] == 200, "the site is back")
    assert "later@example.com" not in serving.make("flask", "users list")[1]
    code, said = serving.make("restores")
    assert re.search(r" done +\S+ [KM]?B ", said), said
    code, said = serving.make("restore-undo", YES="yes")
    assert code == 0, said
    until(lambda: serving.get("/readyz")[0] == 200, "the site is back")
    assert "later@example.com" in serving.make("flask", "users list")[1]


def serves(clone: ClusterClone) -> str:
    """Return the release that answers."""
    return str(json.loads(clone.get("/readyz")[1])["release"])


def test_releases_tells_what_is_kept_and_the_ledger_of_the_cluster(serving: ClusterClone) -> None:
    before = serving.names("jobs")
    code, said = serving.make("releases")
    assert code == 0, said
    kept, _, ledger = said.partition("\nledger\n")
    release = serves(serving)
    assert re.search(rf"^  {release} .* serves$", kept, re.MULTILINE), said
    assert re.search(rf"{release}.*serving", ledger), said
    until(lambda: serving.names("jobs") == before, "the job is gone")


@pytest.mark.slow
def test_rollback_pins_the_release_before_and_unpin_goes_on_with_the_clone(serving: ClusterClone) -> None:
    first = serves(serving)
    write_settings(serving, siteName="Another")
    try:
        code, said = serving.make("up")
        assert code == 0, said
        second = serves(serving)
        assert second != first
        code, said = serving.make("rollback")
        assert code == 0, said
        assert f"the stack is pinned to the release {first}" in said
        assert "image-app creating" not in said
        assert serves(serving) == first
        code, said = serving.make("unpin")
        assert code == 0, said
        assert f"was pinned to {first}" in said
        assert serves(serving) == first
    finally:
        write_settings(serving)
    code, said = serving.make("up")
    assert code == 0, said
    assert "pinned to the release" not in said
    assert serves(serving) == first


def test_what_a_killed_run_left_is_swept_away_after_the_update_and_what_others_made_stays(
    serving: ClusterClone, tmp_path: Path
) -> None:
    ours = f"{{app.kubernetes.io/part-of: scaffold, app.kubernetes.io/instance: {serving.stack}}}"
    apply(serving, STRAY.replace("NAMESPACE", serving.namespace).replace("LABELS", ours), tmp_path)
    serving.kubectl("create", "configmap", "theirs")
    code, said = serving.make("up")
    assert code == 0, said
    assert "removed the ConfigMap stray, which the state does not know" in said
    assert "removed the Job stray, which the state does not know" in said
    until(lambda: "stray" not in serving.names("configmaps,jobs"), "the strays are gone")
    assert "theirs" in serving.names("configmaps")
    assert serving.get("/readyz")[0] == 200


@pytest.mark.slow
def test_a_rollout_that_somebody_paused_goes_on_with_the_next_up(serving: ClusterClone) -> None:
    serving.kubectl("rollout", "pause", "deployment/web")
    code, said = serving.make("up")
    assert code == 0, said
    assert "the rollout of web was paused; it goes on" in said
    (web,) = (each for each in serving.objects("deployments") if each["metadata"]["name"] == "web")
    assert not web["spec"].get("paused")


def test_a_state_that_never_knew_the_stack_does_not_take_it_over_unasked(serving: ClusterClone, tmp_path: Path) -> None:
    other = {"XDG_STATE_HOME": str(tmp_path / "state")}
    code, said = serving.make("up", **other)
    assert code == 2
    assert "runs in namespace" in said
    assert re.search(r"this state has never known it: Deployment gateway, .*Deployment web, StatefulSet database", said)
    assert serving.get("/readyz")[0] == 200


@pytest.mark.slow
def test_a_stack_whose_state_is_lost_is_taken_over_with_its_data_where_it_stands(serving: ClusterClone) -> None:
    assert serving.make("flask", "users add before@example.com --name Before")[0] == 0
    shutil.rmtree(serving.state / "backend")
    code, said = serving.make("up", SWEEP="yes")
    assert code == 0, said
    assert re.search(r"removed the Job migrate-\w+, which the state does not know", said), said
    assert serving.get("/readyz")[0] == 200
    assert "before@example.com" in serving.make("flask", "users list")[1]
    assert serving.make("up", "--expect-no-changes")[0] == 0


def test_down_stops_everything_in_order_and_up_brings_it_back_with_its_data(serving: ClusterClone) -> None:
    superuser = ("exec", "database-0", "--", "psql", "--dbname", "scaffold", "--command")
    serving.kubectl(*superuser, "CREATE TABLE kept AS SELECT 'still here' AS what")
    code, said = serving.make("down")
    assert code == 0, said
    stopped = re.findall(r"^✓ stopped +([\w-]+)", said, re.MULTILINE)
    assert stopped == ["web", "db-backup", "db-restore", "db-restore-loader", "gateway", "database"]
    assert "Kept: the claims backups, database, restore" in said
    assert serving.kubectl("get", "pods", "--field-selector=status.phase=Running", "--output=name") == ""
    assert serving.get()[0] == 0
    code, said = serving.make("status")
    assert code != 0
    assert re.search(r"^  web +web +stopped", said, re.MULTILINE), said
    assert serving.make("down")[0] == 0
    code, said = serving.make("up")
    assert code == 0, said
    assert serving.get("/readyz")[0] == 200
    assert "still here" in serving.kubectl(*superuser, "TABLE kept")
    assert serving.make("up", "--expect-no-changes")[0] == 0


@pytest.mark.slow
def test_a_stopped_stack_whose_load_decides_comes_back_too(serving: ClusterClone) -> None:
    write_settings(serving, maxReplicas="3")
    try:
        code, said = serving.make("up")
        assert code == 0, said
        assert serving.make("down")[0] == 0
        code, said = serving.make("up")
        assert code == 0, said
        assert "web was stopped; 2 pods of it start" in said
        assert serving.get("/readyz")[0] == 200
    finally:
        write_settings(serving)


def test_destroy_refuses_the_data_and_takes_it_with_the_namespace_only_when_told(serving: ClusterClone) -> None:
    code, said = serving.make("destroy", YES="yes")
    assert code == 2
    names = "--output=jsonpath={.items[*].metadata.name}"
    found = serving.cluster.kubectl("get", "persistentvolumeclaims", f"--namespace={serving.namespace}", names).split()
    assert "database" in found
    claims = ", ".join(f"persistentvolumeclaim {serving.namespace}/{name}" for name in sorted(found))
    assert f"holds protected data: {claims}. Nothing was changed." in said
    assert serving.get("/readyz")[0] == 200
    code, said = serving.make("destroy", DELETE_DATA="yes", YES="yes")
    assert code == 0, said
    assert f"namespace {serving.namespace}" in said
    assert serving.namespace not in serving.cluster.kubectl("get", "namespaces", "--output=name")
