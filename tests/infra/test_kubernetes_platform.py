"""What the program declares on Kubernetes, against Pulumi's mocks and an API server that says all is well."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.model import Job, Mount, Probe, Route, Volume
from infra.platforms.docker import daemon
from infra.platforms.kubernetes import image, pod, probe, serving, stack, volume
from infra.platforms.kubernetes import workload as workloads
from infra.platforms.kubernetes.resource import VERSION
from infra.platforms.kubernetes.volume import Place
from tests.infra.apiserver import ApiServer
from tests.infra.conftest import PUSHED, Declared, RunProgram
from tests.infra.test_system import service, system_of, workload

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE_KEY = "ab" * 32
SECRET = "k3y-0123456789-abcdefghijklmnopqrstuvwxyz"
URL = "postgresql+psycopg://app:password@db.example.com:6432/app"
NAMESPACE = "/api/v1/namespaces/scaffold-unit"
APPS = "/apis/apps/v1/namespaces/scaffold-unit"
JOBS = "/apis/batch/v1/namespaces/scaffold-unit/jobs"
PODS = "/api/v1/namespaces/scaffold-unit/pods"
SERVING = "/api/v1/namespaces/scaffold-unit/services/gateway:80/proxy/readyz"

Given = dict[str, str]


def templates(declared: Declared) -> dict[str, Mapping[str, Any]]:
    """Return the template of every workload's pods, by the workload's name."""
    found = {
        inputs["metadata"]["labels"][stack.NAME]: inputs["spec"]["template"]
        for kind in ("Deployment", "StatefulSet", "Job")
        for inputs in declared.objects(kind).values()
    }
    assert len(found) >= 4
    return found


def container(declared: Declared, name: str) -> Mapping[str, Any]:
    """Return a workload's container."""
    (found,) = templates(declared)[name]["spec"]["containers"]
    return dict(found)


def every_object(declared: Declared) -> list[Mapping[str, Any]]:
    """Return all objects of the cluster."""
    return [
        inputs
        for typ, found in declared.resources.items()
        if typ.startswith("kubernetes:")
        for inputs in found.values()
    ]


def revealed(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a secret holds."""
    return dict(value["value"])


# What there is


def test_the_system_runs_as_these_objects(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes)
    assert set(declared.objects("Deployment")) == {"gateway", "migrate-for-restore", "web"}
    assert set(declared.objects("StatefulSet")) == {"database", "db-backup", "db-restore", "db-restore-loader"}
    assert {name.partition("-")[0] for name in declared.objects("Job")} == {"database", "migrate", "record"}
    assert set(declared.objects("PersistentVolumeClaim")) == {"claim-backups", "claim-database", "claim-restore"}
    assert set(declared.of(PUSHED)) == {"image-app", "image-backup", "image-database", "image-gateway"}
    objects = every_object(declared)
    assert len(objects) > 25
    assert {each["metadata"].get("namespace", "scaffold-unit") for each in objects} == {"scaffold-unit"}


def test_the_namespace_takes_restricted_pods_alone(run_program: RunProgram, on_kubernetes: Given) -> None:
    (namespace,) = run_program(on_kubernetes).objects("Namespace").values()
    assert namespace["metadata"]["name"] == "scaffold-unit"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_pod_is_hardened(run_program: RunProgram, on_kubernetes: Given) -> None:
    found = templates(run_program(on_kubernetes))
    assert set(found) == {
        "gateway", "web", "database", "database-roles", "db-backup", "db-restore", "db-restore-loader", "migrate",
        "migrate-for-restore", "record",
    }  # fmt: skip
    for name, template in found.items():
        spec = template["spec"]
        (only,) = spec["containers"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] > 10000, name
        assert security["runAsGroup"] == security["fsGroup"] > 10000, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }, name
        assert spec["automountServiceAccountToken"] is (name == "db-restore"), name
        assert spec["enableServiceLinks"] is False, name
        assert spec["serviceAccountName"] == {"record": "migrate", "migrate-for-restore": "migrate"}.get(name, name)
        for resource in ("cpu", "memory", "ephemeral-storage"):
            assert only["resources"]["limits"][resource], name
            assert only["resources"]["requests"][resource], name
        (tmp,) = (each for each in spec["volumes"] if each["name"] == "tmp")
        assert tmp["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Mi"}, name


def test_every_image_is_named_by_what_lies_in_the_registry(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes)
    pushed = declared.of(PUSHED)["image-app"]
    assert pushed["imageName"].startswith("registry.example.com/me/scaffold-app:")
    assert pushed["skipPush"] is False
    images = {container(declared, name)["image"] for name in templates(declared)}
    assert len(images) == 4
    assert all("@sha256:" in each for each in images)


@pytest.mark.parametrize(
    ("nodes", "architecture"), [(["amd64", "amd64"], "amd64"), (["arm64", "amd64"], "arm64"), ([], "arm64")]
)
def test_images_are_built_for_the_processors_of_the_nodes_and_run_nowhere_else(
    run_program: RunProgram,
    on_kubernetes: Given,
    api: ApiServer,
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[str],
    architecture: str,
) -> None:
    """Where the nodes differ or may not be seen, for those of the machine that builds, which is an arm64 here."""
    monkeypatch.setattr(daemon, "told", lambda _host, _what, **_by: "linux/arm64")
    rows = [{"status": {"nodeInfo": {"operatingSystem": "linux", "architecture": each}}} for each in nodes]
    api.objects["/api/v1/nodes"] = {"items": rows}
    declared = run_program(on_kubernetes)
    assert declared.of(PUSHED)["image-app"]["build"]["platform"] == f"linux/{architecture}"
    wanted = {"kubernetes.io/os": "linux", "kubernetes.io/arch": architecture}
    assert all(each["spec"]["nodeSelector"] == wanted for each in templates(declared).values())


def test_a_load_balancer_hands_the_visitors_address_on(run_program: RunProgram, on_kubernetes: Given) -> None:
    balanced = run_program(on_kubernetes | {"serviceType": "LoadBalancer"}).objects("Service")["service-gateway"]
    assert balanced["spec"]["externalTrafficPolicy"] == "Local"
    others = run_program(on_kubernetes | {"serviceType": "NodePort"}).objects("Service").values()
    assert not [each for each in others if "externalTrafficPolicy" in each["spec"]], "any node answers at its port"


def test_the_ways_in_are_annotated_as_their_controllers_want_it(run_program: RunProgram, on_kubernetes: Given) -> None:
    given = {
        "ingressClass": "nginx",
        "tlsIssuer": "letsencrypt",
        "ingressAnnotations": '{"nginx.ingress.kubernetes.io/proxy-body-size": "10m"}',
        "serviceAnnotations": '{"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}',
    }
    declared = run_program(on_kubernetes | given)
    (ingress,) = declared.objects("Ingress").values()
    said = ingress["metadata"]["annotations"]
    assert said["nginx.ingress.kubernetes.io/proxy-body-size"] == "10m"
    assert said["cert-manager.io/cluster-issuer"] == "letsencrypt"
    annotated = {
        name
        for name, each in declared.objects("Service").items()
        if "service.beta.kubernetes.io/aws-load-balancer-scheme" in each["metadata"]["annotations"]
    }
    assert annotated == {"service-gateway"}
    with pytest.raises(pulumi.RunError, match="ingressAnnotations: set without ingressClass"):
        run_program(on_kubernetes | {"ingressAnnotations": given["ingressAnnotations"]})


@pytest.mark.parametrize(
    "given", ["{", "[]", '{"a": 1}', '{"a/b/c": "d"}', '{"-a": "b"}', '{"pulumi.com/skipAwait": "true"}']
)
def test_what_cannot_be_annotations_is_refused(run_program: RunProgram, on_kubernetes: Given, given: str) -> None:
    wanted = "serviceAnnotations: got .* wanted a JSON object of strings .* none of them below pulumi.com"
    with pytest.raises(pulumi.RunError, match=wanted):
        run_program(on_kubernetes | {"serviceAnnotations": given})


def test_whoever_makes_the_certificate_is_reached_by_the_authority(
    run_program: RunProgram, on_kubernetes: Given
) -> None:
    made = run_program(on_kubernetes | {"ingressClass": "nginx", "tlsIssuer": "letsencrypt"})
    spec = made.objects("NetworkPolicy")["policy-to-acme-solver"]["spec"]
    assert spec["podSelector"] == {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}}
    assert spec["ingress"] == [{"ports": [{"port": 8089, "protocol": "TCP"}]}]
    without = run_program(on_kubernetes | {"ingressClass": "nginx"})
    assert "policy-to-acme-solver" not in without.objects("NetworkPolicy")


def test_what_a_node_keeps_of_logs_evicts_nobody(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes)
    for name in templates(declared):
        disk = {kind: found["ephemeral-storage"] for kind, found in container(declared, name)["resources"].items()}
        assert int(disk["limits"].removesuffix("Mi")) >= 1024, name
        assert int(disk["requests"].removesuffix("Mi")) <= 128, name


def test_only_the_gateways_service_is_reached_from_outside(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes | {"serviceType": "NodePort", "nodePort": "30123"})
    services = {each["metadata"]["name"]: each["spec"] for each in declared.objects("Service").values()}
    assert {name for name, spec in services.items() if spec["type"] != "ClusterIP"} == {"gateway"}
    assert services["gateway"]["ports"] == [
        {"name": "gateway", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30123}
    ]
    # A name with an address for each pod, so that the gateway has another one to ask.
    assert services["web"]["clusterIP"] == "None"
    # Everybody's connection to the database goes by one address, which outlives the pod.
    assert "clusterIP" not in services["database"]


def test_a_release_goes_out_pod_by_pod_and_none_leaves_before_its_successor(
    run_program: RunProgram, on_kubernetes: Given
) -> None:
    declared = run_program(on_kubernetes | {"leaveSeconds": "7", "drainSeconds": "20", "replicas": "3"})
    spec = declared.objects("Deployment")["web"]["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["replicas"] == 3
    assert spec["selector"] == {"matchLabels": {stack.NAME: "web"}}
    template = spec["template"]
    assert template["metadata"]["labels"][stack.RELEASE] == declared.outputs["release"]
    (only,) = template["spec"]["containers"]
    assert {"name": "RELEASE", "value": declared.outputs["release"]} in only["env"]
    assert only["lifecycle"]["preStop"] == {"sleep": {"seconds": 7}}
    assert template["spec"]["terminationGracePeriodSeconds"] == 7 + 20 + 5
    (budget,) = (each for each in declared.objects("PodDisruptionBudget").values() if each["metadata"]["name"] == "web")
    assert budget["spec"]["maxUnavailable"] == 1


def test_a_single_pod_has_no_budget_that_would_keep_its_node(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes | {"replicas": "1", "gatewayReplicas": "1"})
    assert declared.objects("PodDisruptionBudget") == {}


def test_with_an_autoscaler_pods_begin_as_many_as_they_are_at_least_and_nobody_else_says_how_many_run(
    run_program: RunProgram, on_kubernetes: Given
) -> None:
    declared = run_program(on_kubernetes | {"replicas": "2", "maxReplicas": "6", "webCpus": "1.0"})
    assert declared.objects("Deployment")["web"]["spec"]["replicas"] == 2
    one = service("web")
    assert workloads.left_to_others(replace(one, replicas=2, max_replicas=6)) == ["spec.replicas"]
    assert workloads.left_to_others(replace(one, replicas=2)) == []
    (scaler,) = declared.objects("HorizontalPodAutoscaler").values()
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 6)
    assert scaler["spec"]["metrics"][0]["resource"]["target"] == {"type": "AverageValue", "averageValue": "600m"}
    assert run_program(on_kubernetes).objects("HorizontalPodAutoscaler") == {}


def test_probes_ask_what_the_model_says_and_traffic_waits_for_the_warm_paths(
    run_program: RunProgram, on_kubernetes: Given
) -> None:
    declared = run_program(on_kubernetes | {"readySeconds": "90", "warmPaths": '["/", "/auth/login"]'})
    web = container(declared, "web")
    assert web["livenessProbe"]["exec"]["command"] == ["probe-http", "8000", "/healthz"]
    alive, ready = web["livenessProbe"], web["readinessProbe"]
    assert alive["failureThreshold"] == 3 * ready["failureThreshold"], "what is slow gets no requests, and no restart"
    assert alive["periodSeconds"] * alive["failureThreshold"] == 90
    started = web["startupProbe"]["exec"]["command"][-1]
    assert '\nprobe-http 8000 /healthz || { ask /healthz && echo "/healthz answered $status"; exit 1; }' in started
    assert web["startupProbe"]["failureThreshold"] * web["startupProbe"]["periodSeconds"] == 90
    asked = web["readinessProbe"]["exec"]["command"][-1]
    assert '\nprobe-http 8000 /readyz || { ask /readyz && echo "/readyz answered $status"; exit 1; }\n' in asked
    assert "ask / && ask /auth/login" in asked
    gateway = container(declared, "gateway")
    assert gateway["readinessProbe"]["exec"]["command"] == ["probe-http", "8080", "/gateway/healthz"]
    assert "livenessProbe" not in gateway
    # A database that recovers takes its time: nobody may stop it doing so.
    assert container(declared, "database")["startupProbe"]["failureThreshold"] > 3600


def test_the_warm_up_asks_as_a_visitor_would(tmp_path: Path) -> None:
    route = Route("web", "gateway", "https://app.example.com", ("/", "/auth/login"), 30)
    script = f"{probe.asking(service('web'), route)}\n{probe.warming(route)}"
    assert subprocess.run(["bash", "-n", "-c", script], timeout=10, check=False).returncode == 0
    lines = script.replace("/dev/tcp/127.0.0.1/80", str(tmp_path / "asked")).replace("3<>", "3>>")
    lines = lines.replace("read -r -t 15 _ status _ <&3", "status=200").replace("/tmp/warm", str(tmp_path / "warm"))
    for _ in range(2):
        subprocess.run(["bash", "-c", lines], timeout=10, check=True)
    asked = (tmp_path / "asked").read_bytes()
    headers = b"HTTP/1.0\r\nHost: app.example.com\r\nX-Forwarded-Proto: https\r\n\r\n"
    assert asked == b"GET / " + headers + b"GET /auth/login " + headers


class Nothing(BaseHTTPRequestHandler):
    """An app without any page."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


def test_a_pod_that_is_not_ready_says_what_it_answered() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    asked = replace(service("web"), port=port, probe=Probe(command=("probe-http", str(port), "/readyz")))
    script = probe.readiness(asked, Route("web", "gateway", "https://app.example.com", (), 30))
    try:
        answers = [run_script(script)]
    finally:
        server.shutdown()
        server.server_close()
    # Nobody listens any more: that may still come.
    answers.append(run_script(script))
    assert [done.returncode for done in answers] == [1, 1]
    assert [done.stdout for done in answers] == ["/readyz answered 404\n", ""]


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """Run a probe as the cluster does, with the image's own tools."""
    env = {"PATH": f"{ROOT / 'app'}:{os.environ['PATH']}"}
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False, env=env)


def test_an_update_over_an_image_without_readyz_fails_at_once(
    run_program: RunProgram, on_kubernetes: Given, api: ApiServer
) -> None:
    api.objects |= half_rolled_out("web", running("web-new-1"))
    event = {"involvedObject": {"uid": "uid-of-web-new-1"}, "message": "Readiness probe failed: /readyz answered 404\n"}
    api.objects[f"{NAMESPACE}/events"] = {"items": [event]}
    with pytest.raises(pulumi.RunError, match="Deployment web in namespace scaffold-unit is not ready") as caught:
        run_program(on_kubernetes | {"readySeconds": "3600"})
    assert "pod web-new-1: its image has no /readyz" in str(caught.value)


def test_the_gateway_is_handed_its_files_at_each_start(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes)
    gateway = container(declared, "gateway")
    handed = gateway["lifecycle"]["postStart"]["exec"]["command"]
    assert handed == ["python3", "-m", "watcher", "apply", "/run/files"]
    (config,) = (each for name, each in declared.objects("ConfigMap").items() if name.startswith("gateway"))
    assert json.loads(config["data"]["gateway.json"])["upstream"] == {"discover": "web:8000"}


# Secrets and files


def test_a_secret_is_in_no_pod_and_in_no_configmap(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes | {"secretKey": SECRET, "releaseKey": RELEASE_KEY})
    looked_at = 0
    for each in every_object(declared):
        if each["kind"] != "Secret":
            looked_at += 1
            text = json.dumps(each)
            assert not any(secret in text for secret in (SECRET, RELEASE_KEY, "value-of-")), each["kind"]
    assert looked_at > 20
    held = json.dumps([dict(each) for each in declared.objects("Secret").values()])
    assert SECRET in held
    assert held.count("value-of-") >= 3


def test_files_are_immutable_and_read_by_the_pods_group_alone(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes)
    for kind in ("Secret", "ConfigMap"):
        assert declared.objects(kind)
        for name, held in declared.objects(kind).items():
            if name == "flag-gateway":
                continue  # what a verb writes, and no part describes
            assert held["immutable"] is True
            assert "name" not in held["metadata"], "a name that is given is deleted before its successor is there"
    (files,) = (each for each in templates(declared)["web"]["spec"]["volumes"] if each["name"] == "files")
    assert files["projected"]["defaultMode"] == 0o440
    sources = {kind: source["name"] for each in files["projected"]["sources"] for kind, source in each.items()}
    assert sources == {"secret": "web-secret-made-up", "configMap": "web-configmap-made-up"}
    assert {"name": "files", "mountPath": "/run/files", "readOnly": True} in container(declared, "web")["volumeMounts"]


def test_who_asks_the_registry_shows_a_secret_that_no_pod_names(run_program: RunProgram, on_kubernetes: Given) -> None:
    given = on_kubernetes | {"imageRegistryUser": "me", "imageRegistryPassword": "hunter2-hunter2"}
    declared = run_program(given)
    (config,) = (e for e in declared.objects("Secret").values() if e.get("type") == "kubernetes.io/dockerconfigjson")
    (auth,) = json.loads(revealed(config["stringData"])[".dockerconfigjson"])["auths"].items()
    assert auth[0] == "registry.example.com"
    assert base64.b64decode(auth[1]["auth"]) == b"me:hunter2-hunter2"
    for account in declared.objects("ServiceAccount").values():
        assert account["imagePullSecrets"] == [{"name": "registry-made-up"}]
    assert all("imagePullSecrets" not in template["spec"] for template in templates(declared).values())
    assert revealed(declared.of(PUSHED)["image-app"]["registry"])["username"] == "me"


# Storage


def test_the_database_and_its_socket_are_two_folders_of_one_claim(
    run_program: RunProgram, on_kubernetes: Given
) -> None:
    declared = run_program(on_kubernetes | {"databaseStorage": "20", "storageClass": "fast"})
    claim = declared.objects("PersistentVolumeClaim")["claim-database"]
    assert claim["metadata"]["name"] == "database"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "20Gi"}},
        "storageClassName": "fast",
    }
    mounts = [each for each in container(declared, "database")["volumeMounts"] if each["name"] == "database"]
    assert mounts == [
        {"name": "database", "mountPath": "/var/lib/postgresql", "subPath": "database"},
        {"name": "database", "mountPath": "/run/postgresql", "subPath": "database-socket"},
    ]
    roles = templates(declared)["database-roles"]["spec"]
    assert [each for each in container(declared, "database-roles")["volumeMounts"] if each["name"] == "database"] == [
        {"name": "database", "mountPath": "/run/postgresql", "subPath": "database-socket"}
    ]
    (near,) = roles["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert near["labelSelector"] == {"matchLabels": {"claim-database": "mounted"}}


def test_a_volume_of_one_workload_lives_with_its_pod_and_a_shared_one_beside_data() -> None:
    keeper = service("keeper")
    own, shared = Mount("own", "/own"), Mount("shared", "/shared")
    keeper = type(keeper)(**{**vars(keeper), "workload": workload(mounts=(own, shared, Mount("data", "/data")))})
    helper = Job("helper", workload(mounts=(shared,)), beside="keeper")
    system = system_of((keeper,), (helper,))
    volumes = (Volume("own"), Volume("shared"), Volume("data", data=True))
    assert volume.plan(type(system)(**{**vars(system), "volumes": volumes})) == {
        "own": Place("own"),
        "shared": Place("shared", "data", shared=True),
        "data": Place("data", "data", shared=True),
    }


@pytest.mark.parametrize(
    ("beside", "said"), [(None, "do not run beside one service"), ("keeper", "no volume with data")]
)
def test_a_volume_that_no_claim_can_hold_is_refused_by_name(beside: str | None, said: str) -> None:
    shared = workload(mounts=(Mount("shared", "/shared"),))
    keeper = service("keeper")
    keeper = type(keeper)(**{**vars(keeper), "workload": shared})
    system = system_of((keeper,), (Job("helper", shared, beside=beside),))
    with pytest.raises(ValueError, match=f"volume shared is .*{said}"):
        volume.plan(type(system)(**{**vars(system), "volumes": (Volume("shared"),)}))


def test_a_managed_database_is_checked_and_none_is_run(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes | {"databaseUrl": URL, "databaseOwnerUrl": URL, "releaseKey": RELEASE_KEY})
    assert set(declared.objects("StatefulSet")) == {"db-backup"}
    assert set(declared.objects("PersistentVolumeClaim")) == {"claim-backups"}
    assert "database-check" in declared.objects("Job")
    policies = {each["metadata"]["name"]: each["spec"] for each in declared.objects("NetworkPolicy").values()}
    outside = {"ports": [{"port": 6432, "protocol": "TCP"}]}
    allowed = {name for name, spec in policies.items() if outside in spec.get("egress", [])}
    assert allowed == {"from-database-check", "from-db-backup", "from-migrate", "from-web"}


# The way in


def test_an_ingress_ends_tls_with_the_certificate_that_was_set(run_program: RunProgram, on_kubernetes: Given) -> None:
    given = {
        "ingressClass": "nginx",
        "tlsCertificate": "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----",
        "tlsKey": "-----BEGIN PRIVATE KEY-----\nB\n-----END PRIVATE KEY-----",
    }
    declared = run_program(on_kubernetes | given)
    (ingress,) = declared.objects("Ingress").values()
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["rules"][0]["host"] == "app.example.com"
    assert ingress["spec"]["tls"] == [{"hosts": ["app.example.com"], "secretName": "gateway-tls-made-up"}]
    held = declared.objects("Secret")["gateway-tls"]
    assert held["type"] == "kubernetes.io/tls"
    assert revealed(held["stringData"])["tls.key"] == given["tlsKey"]


def test_an_issuer_makes_the_certificate(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes | {"ingressClass": "nginx", "tlsIssuer": "letsencrypt"})
    (ingress,) = declared.objects("Ingress").values()
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"
    assert ingress["spec"]["tls"][0]["secretName"] == "gateway-tls"


def test_a_gateway_of_the_cluster_gets_a_route(run_program: RunProgram, on_kubernetes: Given) -> None:
    declared = run_program(on_kubernetes | {"gatewayParent": "edge/public/https"})
    (route,) = declared.objects("HTTPRoute").values()
    (parent,) = route["spec"]["parentRefs"]
    assert (parent["namespace"], parent["name"], parent["sectionName"]) == ("edge", "public", "https")
    assert route["spec"]["hostnames"] == ["app.example.com"]


# Names, providers, outputs


def test_outputs_name_the_clusters_addresses_alone(run_program: RunProgram, on_kubernetes: Given) -> None:
    found = run_program(on_kubernetes).outputs
    assert found["gatewayAddress"] == "gateway.scaffold-unit.svc:80"
    assert found["namespace"] == "scaffold-unit"
    assert found["siteUrl"] == "https://app.example.com"


def test_the_provider_is_told_which_cluster_it_is_and_nothing_uses_a_default_one(
    run_program: RunProgram, on_kubernetes: Given
) -> None:
    declared = run_program(on_kubernetes)
    (provider,) = declared.of("pulumi:providers:kubernetes").values()
    assert provider["clusterIdentifier"] == "of-the-cluster"
    assert provider["kubeconfig"] == on_kubernetes["kubeconfig"]


def test_providers_have_the_versions_that_are_pinned() -> None:
    pinned = (ROOT / "requirements-kubernetes.in").read_text() + (ROOT / "requirements.in").read_text()
    assert f"pulumi-kubernetes=={VERSION}\n" in pinned
    assert f"pulumi-docker=={image.VERSION}\n" in pinned


@pytest.mark.parametrize("name", ["Production", "a.b", "x" * 70, "-"])
def test_a_stack_whose_name_makes_no_namespace_is_refused(name: str) -> None:
    with pytest.raises(pulumi.RunError, match="pulumi stack rename NAME"):
        stack.namespace_of("scaffold", name)


def test_a_namespace_that_is_somebody_elses_is_refused(
    run_program: RunProgram, on_kubernetes: Given, api: ApiServer
) -> None:
    api.objects[NAMESPACE] = {"metadata": {"name": "scaffold-unit", "labels": {"owner": "payroll"}}}
    with pytest.raises(pulumi.RunError, match="the namespace scaffold-unit exists and is not this stack's"):
        run_program(on_kubernetes)
    ours = {stack.INSTANCE: "unit", stack.PART_OF: "scaffold"}
    api.objects[NAMESPACE] = {"metadata": {"name": "scaffold-unit", "labels": ours}}
    assert run_program(on_kubernetes).objects("Namespace")


def test_a_cluster_that_does_not_answer_is_named_with_the_setting(
    run_program: RunProgram, on_kubernetes: Given, api: ApiServer
) -> None:
    api.stop()
    with pytest.raises(
        pulumi.RunError, match=r"no cluster answers at http://127\.0\.0\.1:.* pulumi config set kubeconfig"
    ):
        run_program(on_kubernetes)


def test_a_kubeconfig_that_is_not_there_is_named(run_program: RunProgram, on_kubernetes: Given, tmp_path: Path) -> None:
    with pytest.raises(pulumi.RunError, match=r"kubeconfig: got .*nowhere"):
        run_program(on_kubernetes | {"kubeconfig": str(tmp_path / "nowhere")})


@pytest.mark.parametrize(("processors", "of", "said"), [("2.0", 1, "2"), ("0.5", 1, "500m"), ("2.0", 10, "200m")])
def test_processors_are_spelled_as_the_cluster_gives_them_back(processors: str, of: int, said: str) -> None:
    assert pod.millicores(processors, of) == said


# Waiting


def test_an_unchanged_update_asks_once_for_each_workload(
    run_program: RunProgram, on_kubernetes: Given, api: ApiServer
) -> None:
    run_program(on_kubernetes)
    # Which cluster, whose namespace, which processors, where its API is; each workload; the release by the gateway; the
    # last backup.
    assert len(api.asked) == 4 + 9 + 1 + 1, api.asked


def test_an_update_ends_once_the_release_answers_through_the_gateway(
    run_program: RunProgram, on_kubernetes: Given, api: ApiServer
) -> None:
    answers = [(503, {"title": "maintenance"}), (200, {"release": "of-yesterday"})]
    api.answers[SERVING] = lambda: answers.pop(0) if answers else (200, {"release": api.release})
    run_program(on_kubernetes)
    assert answers == []
    assert api.asked.count(SERVING) >= 3


def test_an_update_fails_when_the_gateway_goes_on_answering_for_another_release(
    run_program: RunProgram, on_kubernetes: Given, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "ANSWER_SECONDS", 0.2)
    api.answers[SERVING] = lambda: (200, {"release": "of-yesterday"})
    with pytest.raises(pulumi.RunError, match="answers /readyz with release of-yesterday"):
        run_program(on_kubernetes)


@pytest.mark.parametrize("reason", ["Forbidden", "ServiceUnavailable"])
def test_an_update_ends_where_nobody_can_be_asked_through_the_gateway(
    run_program: RunProgram, on_kubernetes: Given, api: ApiServer, reason: str
) -> None:
    status = {"Forbidden": 403, "ServiceUnavailable": 503}[reason]
    said = {"kind": "Status", "code": status, "reason": reason, "message": "no way there"}
    api.answers[SERVING] = lambda: (status, said)
    assert run_program(on_kubernetes).objects("Deployment")
    assert api.asked.count(SERVING) == 1


def test_a_preview_waits_for_nothing(run_program: RunProgram, on_kubernetes: Given, api: ApiServer) -> None:
    api.objects[f"{APPS}/statefulsets/database"] = None
    declared = run_program(on_kubernetes, preview=True)
    assert "web" in declared.objects("Deployment")
    assert len(api.asked) == 5
    assert api.deleted == []


def test_a_failed_job_fails_the_update_with_its_last_words_and_is_removed(
    run_program: RunProgram, on_kubernetes: Given, api: ApiServer
) -> None:
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it ended badly"}
    api.objects[f"{JOBS}/database-roles"] = {
        "metadata": {"name": "database-roles", "generation": 1},
        "spec": {"selector": {"matchLabels": {"controller-uid": "1"}}},
        "status": {"conditions": [failed]},
    }
    api.objects[PODS] = {"items": [ended("database-roles-x1", exit_code=3)]}
    api.objects[f"{PODS}/database-roles-x1/log"] = json.dumps({"level": "error", "event": "no such role", "role": "x"})
    with pytest.raises(pulumi.RunError, match="job database-roles in namespace scaffold-unit failed") as caught:
        run_program(on_kubernetes)
    said = str(caught.value)
    assert "BackoffLimitExceeded: it ended badly" in said
    assert "pod database-roles-x1" in said
    assert "exit code 3" in said
    assert "    error: no such role role=x" in said
    assert api.deleted == [f"{JOBS}/database-roles"]


def test_an_update_over_pods_that_crash_fails_each_time_and_says_what_they_wrote(
    run_program: RunProgram, on_kubernetes: Given, api: ApiServer
) -> None:
    api.objects |= half_rolled_out("gateway", crashing("gateway-new-1"))
    api.objects[f"{PODS}/gateway-new-1/log"] = "it cannot start\n"
    for _ in range(2):
        with pytest.raises(
            pulumi.RunError, match="Deployment gateway in namespace scaffold-unit is not ready"
        ) as caught:
            run_program(on_kubernetes)
        assert "gateway-new-1" in str(caught.value)
        assert "CrashLoopBackOff" in str(caught.value)
        assert "    it cannot start" in str(caught.value)
    assert api.deleted == []


def half_rolled_out(name: str, new: dict[str, Any]) -> dict[str, Any]:
    """Return what a cluster has while one pod of a Deployment's two is new."""
    revision = {"deployment.kubernetes.io/revision": "2"}
    return {
        f"{APPS}/deployments/{name}": {
            "metadata": {"name": name, "generation": 2, "annotations": revision},
            "spec": {"replicas": 2, "selector": {"matchLabels": {stack.NAME: name}}},
            "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2},
        },
        f"{APPS}/replicasets": {
            "items": [{"metadata": {"name": "g", "annotations": revision, "labels": {"pod-template-hash": "new"}}}]
        },
        PODS: {"items": [new]},
    }


def running(name: str) -> dict[str, Any]:
    """Return a pod that runs and is not ready."""
    row = {"name": "only", "restartCount": 0, "state": {"running": {}}, "ready": False}
    return {
        "metadata": {"name": name, "uid": f"uid-of-{name}"},
        "status": {"phase": "Running", "containerStatuses": [row]},
    }


def ended(name: str, exit_code: int) -> dict[str, Any]:
    """Return a pod whose container has ended."""
    state = {"terminated": {"exitCode": exit_code, "reason": "Error"}}
    return {
        "metadata": {"name": name, "uid": f"uid-of-{name}"},
        "status": {"phase": "Failed", "containerStatuses": [{"name": "only", "restartCount": 0, "state": state}]},
    }


def crashing(name: str) -> dict[str, Any]:
    """Return a pod whose container crashes again and again."""
    row = {
        "name": "only",
        "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
    }
    return {
        "metadata": {"name": name, "uid": f"uid-of-{name}"},
        "status": {"phase": "Running", "containerStatuses": [row]},
    }
