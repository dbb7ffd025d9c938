"""The life of a stack on Kubernetes, in order: up, look, drain, break, mend, fail, refuse, destroy, come back."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.e2e.browser import chromium
from tests.e2e.release import BROKEN_MIGRATION, head_of, is_page, is_site
from tests.e2e.site import PROJECT
from tests.e2e.traffic import Traffic
from tests.kubernetes.site import ClusterSite, is_ready, name_of

CONNECT = """
import json, socket, sys
reached = []
for target in sys.argv[1:]:
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 2).close()
        reached.append(target)
    except OSError:
        pass
print(json.dumps(reached))
"""
SERVICES = {"web": 8000, "gateway": 8080, "database": 5432}
CLAIMING = ("database", "db-backup", "db-restore", "db-restore-loader")
WORKLOADS = (*dict.fromkeys((*SERVICES, *CLAIMING)),)
JOBS = ("migrate", "database-roles")
SUPERUSER = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", "scaffold", "--command")
TOLD = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6} of .* UTC: [1-9][0-9]* rows in [1-9][0-9]* bytes, restored$")
OTHER_PORT = [{"op": "replace", "path": "/spec/ports/0/port", "value": 8001}]


@pytest.fixture
def whole(serving: ClusterSite) -> Iterator[ClusterSite]:
    """The serving stack; what a failing test breaks is mended by an `up`, for the next one."""
    yield serving
    if serving.get("/").status != 200:
        serving.up(check=False)


def test_the_first_up_serves_the_site_through_the_gateways_service(serving: ClusterSite) -> None:
    """M1, M7: Deployment and Service for the app, StatefulSet for the database, probes on /healthz and /readyz."""
    answer = serving.get("/")
    assert answer.status == 200
    assert serving.outputs()["release"] in answer.body
    assert len(serving.ready_pods("web")) == 2
    (web,) = serving.objects("deployments", "app.kubernetes.io/name=web")
    container = web["spec"]["template"]["spec"]["containers"][0]
    assert "/healthz" in json.dumps(container["livenessProbe"])
    assert "/readyz" in json.dumps(container["readinessProbe"])
    assert web["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert [name_of(each) for each in serving.objects("statefulsets")] == [*CLAIMING]


def test_the_outputs_name_the_addresses_and_they_answer(serving: ClusterSite) -> None:
    """M8: the outputs give the URLs."""
    outputs = serving.outputs()
    assert outputs["siteUrl"] == serving.url
    assert serving.get(outputs["healthUrl"].removeprefix(serving.url)).status == 200
    ready = serving.get(outputs["readyUrl"].removeprefix(serving.url))
    assert json.loads(ready.body)["release"] == outputs["release"]


def test_only_the_gateway_is_reached_from_outside_the_cluster(serving: ClusterSite) -> None:
    """M3: the gateway is the only way in."""
    outward = {name_of(each) for each in serving.objects("services") if each["spec"]["type"] != "ClusterIP"}
    assert outward == {"gateway"}


def test_the_site_looks_right_in_a_browser(serving: ClusterSite) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        answer = page.goto(serving.url)
        assert answer is not None
        assert answer.status == 200
        assert problems == []


def test_a_second_up_changes_nothing_and_tells_of_the_newest_backup(serving: ClusterSite) -> None:
    look = ("exec", "db-backup-0", "--", "cat", "/backups/.last.json")
    serving.wait_until(lambda: '"state": "restored"' in serving.kubectl(*look, check=False), "the first backup is made")
    before = generations(serving)
    serving.up("--expect-no-changes")
    assert generations(serving) == before
    assert TOLD.match(serving.outputs()["lastBackup"])


def test_a_preview_touches_nothing(serving: ClusterSite) -> None:
    before, state = generations(serving), serving.state()
    serving.config("maintenanceMessage", "Just a preview.")
    try:
        said = serving.pulumi("preview").stdout
    finally:
        serving.pulumi("config", "rm", "maintenanceMessage")
    assert re.search(r"[+~] +\d+ to (create|update)|\+-\d+ to replace", said)
    assert generations(serving) == before
    assert serving.state() == state


def generations(site: ClusterSite) -> dict[str, str]:
    """Return what changes when somebody touches an object of the stack: its identity, generation and data."""
    kinds = "deployments,statefulsets,jobs,services,configmaps,secrets,networkpolicies,poddisruptionbudgets,pvc,pods"
    return {
        f"{each['kind']}/{name_of(each)}": f"{each['metadata']['uid']} {each['metadata'].get('generation')}"
        for each in site.objects(kinds)
    }


def test_drift_is_found_by_the_refresh_and_repaired(whole: ClusterSite) -> None:
    whole.kubectl("scale", "deployment/web", "--replicas=1")
    whole.kubectl("delete", "networkpolicy", "default-deny")
    whole.kubectl(
        "patch",
        "service",
        "web",
        "--type=json",
        "--patch",
        '[{"op":"replace","path":"/spec/ports/0/port","value":8001}]',
    )
    whole.up()
    assert len(whole.ready_pods("web")) == 2
    assert "default-deny" in {name_of(each) for each in whole.objects("networkpolicies")}
    (service,) = whole.objects("services", "app.kubernetes.io/name=web")
    assert [port["port"] for port in service["spec"]["ports"]] == [8000]
    whole.wait_for(is_site)
    whole.up("--expect-no-changes")


def test_evicting_every_web_pod_in_turn_fails_no_request(whole: ClusterSite) -> None:
    """M24: a drained node drops nothing."""
    first = [name_of(pod) for pod in whole.ready_pods("web")]
    assert len(first) == 2
    with Traffic(whole.port) as traffic:
        for name in first:
            whole.wait_until(lambda: len(whole.ready_pods("web")) == 2, "two web pods are ready")
            whole.evict(name)
            whole.wait_until(partial(is_gone, whole, name), f"{name} is gone")
        whole.wait_until(lambda: len(whole.ready_pods("web")) == 2, "two web pods are ready")
    assert set(traffic.answers) == {"200"}, traffic.answers
    assert traffic.answers["200"] > 100
    assert not {name_of(pod) for pod in whole.ready_pods("web")} & set(first)


def is_gone(site: ClusterSite, pod: str) -> bool:
    """Whether no pod of that name serves any more."""
    return pod not in [name_of(each) for each in site.pods("web")]


def test_a_killed_web_process_fails_no_repeatable_request(whole: ClusterSite) -> None:
    """M4: the gateway asks the other pod again."""
    whole.wait_for_gateways()
    victim = whole.ready_pods("web")[0]
    with Traffic(whole.port) as traffic:
        whole.wait_for(is_site)
        whole.kill_main_process(victim)
        whole.wait_until(lambda: restarts(whole, name_of(victim)) > 0, "the container was started again")
        whole.wait_until(lambda: len(whole.ready_pods("web")) == 2, "two web pods are ready")
    assert set(traffic.answers) == {"200"}, traffic.answers


def restarts(site: ClusterSite, pod: str) -> int:
    """Return how often a pod's container was started again."""
    found = json.loads(site.kubectl("get", "pod", pod, "--output", "json"))
    return int(found["status"]["containerStatuses"][0]["restartCount"])


def test_a_killed_database_pod_shows_the_page_and_loses_nothing(whole: ClusterSite) -> None:
    """M4: the page while the database is away, then the site, and what was committed is there."""
    note = f"kept-{time.monotonic_ns()}"
    whole.run_in("database-0", *SUPERUSER, f"CREATE TABLE IF NOT EXISTS kept AS SELECT '{note}' AS note")
    (pod,) = whole.ready_pods("database")
    with Traffic(whole.port) as traffic:
        whole.kubectl("delete", "pod", "database-0", "--grace-period=0", "--force", "--wait=false")
        whole.wait_for(is_page, 30)
        whole.wait_for(is_site, 90)
    assert set(traffic.answers) <= {"200", "503"}, traffic.answers
    whole.wait_until(lambda: whole.ready_pods("database"), "the database is ready")
    (again,) = whole.ready_pods("database")
    assert again["metadata"]["uid"] != pod["metadata"]["uid"]
    assert note in whole.run_in("database-0", *SUPERUSER, "TABLE kept")
    whole.run_in("database-0", *SUPERUSER, "DROP TABLE kept")
    whole.up("--expect-no-changes")


def test_a_failed_migration_leaves_the_old_release_serving_and_runs_again_with_the_next_up(whole: ClusterSite) -> None:
    """M2, M24: migrations go before traffic, and decide whether there is any."""
    before = whole.outputs()["release"]
    broken = whole.folder / "app" / "migrations" / "versions" / "ffffffffffff_broken.py"
    broken.write_text(BROKEN_MIGRATION.format(head=head_of(whole.folder)))
    with Traffic(whole.port) as traffic:
        for attempt in ("first", "second"):
            failed = whole.up(check=False)
            assert failed.returncode != 0, f"the {attempt} attempt passed"
            assert "there_is_no_such_table" in failed.stdout + failed.stderr
            assert json.loads(whole.get("/readyz").body)["release"] == before
        mended = broken.read_text().replace("ALTER TABLE there_is_no_such_table ADD COLUMN nothing integer", "SELECT 1")
        broken.write_text(mended)
        whole.up()
    # Until every gateway has forgotten them, the pods of the former release answer too.
    whole.wait_for_gateways()
    assert json.loads(whole.get("/readyz").body)["release"] == whole.outputs()["release"] != before
    assert set(traffic.answers) == {"200"}, traffic.answers
    whole.up("--expect-no-changes")


@pytest.mark.slow
def test_a_release_that_cannot_start_leaves_the_old_one_serving_and_the_update_says_why(whole: ClusterSite) -> None:
    before = whole.outputs()["release"]
    server = whole.folder / "app" / "gunicorn.conf.py"
    working = server.read_text()
    whole.config("readySeconds", "10")
    server.write_text(working + '\nraise RuntimeError("this release migrates, but cannot serve")\n')
    started = time.monotonic()
    try:
        with Traffic(whole.port) as traffic:
            failed = whole.up(check=False)
            took = time.monotonic() - started
            said = failed.stdout + failed.stderr
            assert failed.returncode != 0
            assert "this release migrates, but cannot serve" in said
            assert re.search(r"\bweb-[0-9a-z]+-[0-9a-z]+\b", said), "no pod is named"
            assert "BackOff" in said or "Error" in said
            assert took < 240, f"the update needed {took:.0f} s to fail"
            assert json.loads(whole.get("/readyz").body)["release"] == before
            server.write_text(working)
            whole.up()
    finally:
        server.write_text(working)
        whole.config("readySeconds", "30")
    assert set(traffic.answers) == {"200"}, traffic.answers
    whole.up()
    assert len(whole.ready_pods("web")) == 2


@pytest.mark.slow
def test_an_image_that_cannot_be_pulled_leaves_the_old_release_serving_and_the_update_says_why(
    whole: ClusterSite,
) -> None:
    before = whole.outputs()["release"]
    images = whole.folder / "infra" / "platforms" / "kubernetes" / "image.py"
    working = images.read_text()
    wrong = '.apply(lambda found, name=image.name: found[:-8] + "00000000" if name == "app" else found)'
    broken = working.replace(").repoDigest\n", f").repoDigest{wrong}\n")
    assert broken != working
    images.write_text(broken)
    started = time.monotonic()
    try:
        with Traffic(whole.port) as traffic:
            failed = whole.up(check=False)
            took = time.monotonic() - started
            said = failed.stdout + failed.stderr
            assert failed.returncode != 0
            assert re.search(r"\bErrImagePull|ImagePullBackOff\b", said)
            assert re.search(r"\bpod (migrate|web)-[0-9a-z-]+\b", said), "no pod is named"
            assert took < 240, f"the update needed {took:.0f} s to fail"
    finally:
        images.write_text(working)
    whole.up()
    whole.wait_for(is_site, 60)
    assert whole.outputs()["release"] == before
    assert set(traffic.answers) <= {"200"}, traffic.answers


def test_a_release_drops_no_request(whole: ClusterSite) -> None:
    with Traffic(whole.port) as traffic:
        whole.config("siteName", "Scaffold released")
        whole.up()
    assert set(traffic.answers) == {"200"}, traffic.answers
    whole.wait_for(lambda answer: "Scaffold released" in answer.body)


def test_a_new_page_reaches_every_gateway_and_drops_no_request(whole: ClusterSite) -> None:
    whole.config("maintenanceMessage", "Back at noon.")
    with Traffic(whole.port) as traffic:
        whole.up()
    answered = set(traffic.answers)
    assert answered == {"200"}, traffic.answers
    for pod in whole.ready_pods("gateway"):
        assert "Back at noon." in whole.run_in(name_of(pod), "cat", "/var/lib/gateway/current/maintenance.html")


def test_a_new_database_password_refuses_nobody(whole: ClusterSite) -> None:
    with Traffic(whole.port) as traffic:
        whole.config("databasePasswordVersion", "2")
        whole.up()
    assert set(traffic.answers) == {"200"}, traffic.answers
    whole.up("--expect-no-changes")


@pytest.mark.slow
def test_the_api_takes_an_autoscaler_and_an_ingress_and_they_go_with_their_settings(whole: ClusterSite) -> None:
    given = {"maxReplicas": "4", "ingressClass": "nobodys", "tlsIssuer": "nobody"}
    for key, value in given.items():
        whole.config(key, value)
    try:
        whole.up()
        (scaler,) = whole.objects("horizontalpodautoscalers")
        assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 4)
        (ingress,) = whole.objects("ingresses")
        assert ingress["spec"]["ingressClassName"] == "nobodys"
        assert ingress["spec"]["rules"][0]["host"] == "localhost"
        whole.up("--expect-no-changes")
    finally:
        for key in given:
            whole.pulumi("config", "rm", key)
        whole.up()
    assert whole.objects("horizontalpodautoscalers,ingresses") == []
    assert len(whole.ready_pods("web")) == 2


def test_who_reaches_whom_is_exactly_what_is_declared(whole: ClusterSite, probes: dict[str, str]) -> None:
    """From each service's own pod, from pods that look like each job's, and from one that nothing is declared about."""
    addresses = {name: whole.ready_pods(name)[0]["status"]["podIP"] for name in SERVICES}
    cluster = json.loads(whole.kubectl("get", "service", "kubernetes", "--namespace=default", "--output=json"))
    node = json.loads(whole.kubectl("get", "nodes", "--output=json"))["items"][0]
    inside = next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
    targets = {f"{addresses[name]}:{port}": name for name, port in SERVICES.items()} | {
        f"{cluster['spec']['clusterIP']}:443": "the API by its service",
        f"{inside}:{whole.cluster.api_port}": "the API by its address",
    }
    pods = {name: name_of(whole.ready_pods(name)[0]) for name in WORKLOADS} | probes
    # What is dropped takes its time until it is given up, so all pods try at once.
    with ThreadPoolExecutor(len(pods)) as pool:
        said = pool.map(lambda pod: whole.run_in(pod, "python3", "-c", CONNECT, *targets, timeout=60), pods.values())
        # A pod reaches itself whatever the policies say.
        reached = {
            name: {targets[each] for each in json.loads(told)} - {name} for name, told in zip(pods, said, strict=True)
        }
    calling = ("web", "migrate", "db-backup", "db-restore", "db-restore-loader")
    declared = {"gateway": {"web"}, **{key: {"database"} for key in calling}}
    declared["db-restore"] |= {"the API by its service", "the API by its address"}
    assert reached == {name: declared.get(name, set()) for name in reached}
    assert set(reached) == {*WORKLOADS, *JOBS, "stranger"}


@pytest.fixture
def probes(whole: ClusterSite) -> Iterator[dict[str, str]]:
    """Pods that carry a job's label, and one that carries none: the pod by the name of what it stands for."""
    (database,) = whole.ready_pods("database")
    container = database["spec"]["containers"][0]
    made = {name: f"probe-{name}" for name in (*JOBS, "stranger")}
    for name, pod in made.items():
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": pod,
                "namespace": whole.namespace,
                "labels": {"app.kubernetes.io/name": name} if name in JOBS else {},
            },
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": database["spec"]["securityContext"],
                "imagePullSecrets": database["spec"].get("imagePullSecrets", []),
                "containers": [
                    {
                        "name": "probe",
                        "image": container["image"],
                        "command": ["sleep", "600"],
                        "securityContext": container["securityContext"],
                    }
                ],
                "terminationGracePeriodSeconds": 0,
            },
        }
        whole.kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
    for pod in made.values():
        whole.kubectl("wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=60s")
    yield made
    whole.kubectl("delete", "pod", *made.values(), "--grace-period=0", "--force")


def test_the_clusters_own_evaluator_finds_every_pod_restricted(serving: ClusterSite) -> None:
    """The admission plugin looks at what runs when the level of a namespace changes, and warns of each violation."""
    wanted = "pod-security.kubernetes.io/enforce"
    (namespace,) = (
        each
        for each in json.loads(serving.kubectl("get", "namespaces", "--output=json"))["items"]
        if name_of(each) == serving.namespace
    )
    assert namespace["metadata"]["labels"][wanted] == "restricted"
    serving.kubectl("label", "namespace", serving.namespace, f"{wanted}=privileged", "--overwrite")
    try:
        said = serving.kubectl(
            "label",
            "namespace",
            serving.namespace,
            f"{wanted}=restricted",
            "--overwrite",
            "--dry-run=server",
            check=False,
        )
    finally:
        serving.kubectl("label", "namespace", serving.namespace, f"{wanted}=restricted", "--overwrite")
    assert "labeled" in said
    assert "Warning" not in said, said


def test_neither_a_manifest_nor_an_environment_nor_a_log_shows_a_secret(serving: ClusterSite) -> None:
    exported = json.loads(serving.pulumi("stack", "export", "--show-secrets").stdout)
    secrets = {
        resource["outputs"]["result"]["plaintext"].strip('"')
        for resource in exported["deployment"]["resources"]
        if resource["type"] == "random:index/randomPassword:RandomPassword"
    } | {serving.passphrase}
    assert len(secrets) >= 5
    places = {
        "state": serving.state(),
        "process list": subprocess.run(["ps", "axeww"], capture_output=True, text=True, timeout=30, check=True).stdout,
        "program's folder": "".join(p.read_text(errors="replace") for p in serving.folder.glob("Pulumi.*")),
        "manifests": serving.kubectl(
            "get", "all,configmaps,networkpolicies,pvc,serviceaccounts,poddisruptionbudgets,events", "--output=yaml"
        ),
    }
    for service in WORKLOADS:
        for pod in serving.ready_pods(service):
            name = name_of(pod)
            places[f"log of {name}"] = serving.kubectl("logs", name, "--all-containers")
            places[f"environment of {name}"] = serving.run_in(name, "cat", "/proc/1/environ")
    encoded = {base64.b64encode(secret.encode()).decode() for secret in secrets}
    for place, text in places.items():
        for secret in secrets | encoded:
            assert secret not in text, f"a secret is in the {place}"


def test_every_line_that_a_pod_prints_is_json(serving: ClusterSite) -> None:
    """M23: structured logs from every component."""
    for pod in serving.objects("pods"):
        for line in serving.kubectl("logs", name_of(pod), "--all-containers").splitlines():
            assert isinstance(json.loads(line), dict), f"{name_of(pod)}: {line}"


def test_no_pod_carries_a_token_and_none_can_write_its_root(serving: ClusterSite) -> None:
    for service in WORKLOADS:
        for pod in serving.ready_pods(service):
            name = name_of(pod)
            # One service stops and starts others, and asks the API for that.
            stops = service == "db-restore"
            assert pod["spec"]["automountServiceAccountToken"] is stops
            found = serving.run_in(name, "ls", "/var/run/secrets/kubernetes.io", check=False)
            assert ("No such file" in found) is not stops
            assert "Read-only" in serving.run_in(name, "touch", "/etc/written", check=False)
            status = serving.run_in(name, "cat", "/proc/1/status")
            assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE), name
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE), name


def test_destroy_is_refused_over_protected_data(whole: ClusterSite) -> None:
    refused = whole.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.stdout + refused.stderr
    assert name_of(whole.objects("pvc")[0])
    whole.up()
    whole.wait_for(is_site)


def test_a_destroyed_stack_leaves_the_cluster_as_it_was_but_for_its_data_and_comes_back_with_it(
    whole: ClusterSite, cluster_before: set[str]
) -> None:
    """What is left is the namespace with the claim in it, and the volume behind that."""
    whole.run_in("database-0", *SUPERUSER, "CREATE TABLE IF NOT EXISTS outlives AS SELECT 'the stack' AS what")
    whole.pulumi("state", "unprotect", "--all", "--yes")
    whole.pulumi("destroy", "--yes", "--skip-preview")
    left = whole.everything() - cluster_before
    kinds = {each.partition("/")[0].partition(".")[0] for each in left}
    assert kinds <= {"namespace", "persistentvolumeclaim", "configmap", "serviceaccount", "persistentvolume"}, left
    assert {"configmap/kube-root-ca.crt", "serviceaccount/default"} >= {
        each for each in left if each.startswith(("configmap/", "serviceaccount/"))
    }
    assert f"namespace/{whole.namespace}" in left
    whole.up()
    whole.wait_for(is_site, 60)
    assert "the stack" in whole.run_in("database-0", *SUPERUSER, "TABLE outlives")
    whole.up("--expect-no-changes")
    assert all(is_ready(pod) for pod in whole.pods("database"))
    assert PROJECT in whole.namespace
