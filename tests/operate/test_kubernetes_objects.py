"""What objects of a cluster say of a stack: how it is, what stops in which order, and what sets it going again."""

from __future__ import annotations

from typing import Any

import pytest

from infra.platforms.kubernetes import stack as of_program
from operate.kubernetes import advice, cluster, halted, logs, migrate, remains, status
from operate.kubernetes.down import Workload, still_there, workload_from
from operate.kubernetes.kinds import DEPLOYMENT
from operate.stopping import groups
from setup.problem import Problem

RELEASE = "app.kubernetes.io/version"
SERVICE = "app.kubernetes.io/name"


def thing(own: str, /, spec: Any = None, status: Any = None, *, service: str = "", release: str = "") -> dict[str, Any]:
    """An object as the cluster gives it."""
    given = {key: value for key, value in ((SERVICE, service), (RELEASE, release)) if value}
    meta = {"name": own, "namespace": "scaffold-k8s", "labels": given, "generation": 2}
    return {"metadata": meta, "spec": spec or {}, "status": status or {}}


def test_objects_are_found_by_the_labels_that_the_program_gives_them() -> None:
    assert (cluster.SERVICE, cluster.STACK, cluster.PROJECT, cluster.RELEASE) == (
        of_program.NAME,
        of_program.INSTANCE,
        of_program.PART_OF,
        of_program.RELEASE,
    )
    assert cluster.namespace_of("k8s") == of_program.namespace_of("scaffold", "k8s")


def whole(**differing: Any) -> dict[str, Any]:
    return {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2} | differing


@pytest.mark.parametrize(
    ("replicas", "told", "words", "well"),
    [
        (2, whole(), "2 of 2 ready", True),
        (2, whole(readyReplicas=1), "1 of 2 ready", False),
        (2, whole(readyReplicas=None, updatedReplicas=None, replicas=None), "0 of 2 ready, rolling out", False),
        (2, whole(updatedReplicas=1), "2 of 2 ready, rolling out", True),
        (2, whole(replicas=3), "2 of 2 ready, rolling out", True),
        (2, whole(observedGeneration=1), "2 of 2 ready, rolling out", True),
        (0, {"observedGeneration": 2}, "stopped", False),
        (0, {"observedGeneration": 2, "replicas": 1, "readyReplicas": 1}, "stopping", False),
    ],
)
def test_a_workload_is_well_when_as_many_pods_as_it_wants_are_ready(
    replicas: int, told: dict[str, Any], words: str, well: bool
) -> None:
    row = status.row_of(thing("web", {"replicas": replicas}, told, service="web", release="abc"))
    assert (row.service, row.words, row.well, row.release) == ("web", words, well, "abc")


@pytest.mark.parametrize(("kind", "words", "well"), [("Complete", "done", True), ("Failed", "failed", False)])
def test_a_job_tells_how_it_went(kind: str, words: str, well: bool) -> None:
    row = status.row_of_job(thing("migrate-a", status={"conditions": [{"type": kind, "status": "True"}]}))
    assert (row.words, row.well) == (words, well)
    assert status.row_of_job(thing("migrate-a")).words == "runs"


def test_pods_that_are_unwell_are_told_but_not_those_that_leave_or_belong_to_what_is_done() -> None:
    waiting = {"containerStatuses": [{"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    stuck, leaving, old = (
        thing("web-1", status=waiting, service="web"),
        thing("web-2", status=waiting, service="web"),
        thing("migrate-x", status={"phase": "Failed"}, service="migrate"),
    )
    leaving["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    done = status.Row("migrate", "migrate-a", "done", True, "a")
    (told,) = status.unwell([stuck, leaving, old], [done])
    assert "web-1" in told
    assert "ImagePullBackOff" in told


def test_the_ways_in_are_named() -> None:
    node = thing("gateway", {"type": "NodePort", "ports": [{"nodePort": 30080}]})
    balancer = thing("gateway", {"type": "LoadBalancer", "ports": [{"nodePort": 30080}]})
    given = thing("gateway", {"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}})
    inside = thing("web", {"type": "ClusterIP", "ports": [{"port": 8000}]})
    assert status.ways_of_service(node) == ["port 30080 of every node"]
    assert status.ways_of_service(balancer) == ["a load balancer that has no address yet"]
    assert status.ways_of_service(given) == ["192.0.2.1"]
    assert status.ways_of_service(inside) == []
    ingress = thing("gateway", {"rules": [{"host": "a.example"}]})
    assert status.hosts_of_ingress(ingress) == ["a.example by Ingress gateway, which has no address yet"]
    ingress["status"] = {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}
    assert status.hosts_of_ingress(ingress) == ["a.example by Ingress gateway at lb.example"]
    route = thing("gateway", {"hostnames": ["a.example"], "parentRefs": [{"name": "public"}]})
    assert status.hosts_of_route(route) == ["a.example by Gateway public"]


def test_web_stops_first_and_the_database_last() -> None:
    found = [Workload(DEPLOYMENT, name, name, 1, 30) for name in ("database", "gateway", "other", "web")]
    assert [[each.name for each in group] for group in groups(found, lambda each: each.service)] == [
        ["web"],
        ["other"],
        ["gateway"],
        ["database"],
    ]


def test_a_workload_tells_how_long_its_pods_may_take_to_stop() -> None:
    spec = {"replicas": 2, "template": {"spec": {"terminationGracePeriodSeconds": 50}}}
    assert workload_from(DEPLOYMENT, thing("web", spec, service="web")) == Workload(DEPLOYMENT, "web", "web", 2, 50)
    assert workload_from(DEPLOYMENT, thing("web", {"template": {"spec": {}}}, service="web")).grace_seconds == 30
    assert still_there(thing("web-1", status={"phase": "Running"}))
    assert not still_there(thing("migrate-1", status={"phase": "Succeeded"}))


def autoscaler(target: str, least: int, kind: str = "Deployment") -> dict[str, Any]:
    return thing(target, {"scaleTargetRef": {"kind": kind, "name": target}, "minReplicas": least})


def test_what_an_update_would_leave_standing_is_set_going() -> None:
    stopped, paused, fine = thing("web", {"replicas": 0}), thing("gateway", {"replicas": 2, "paused": True}), thing("x")
    assert halted.pushes([stopped, fine], []) == [], "how many there are is an input: the update sees it"
    (push,) = halted.pushes([stopped, fine], [autoscaler("web", 2), autoscaler("x", 2, kind="StatefulSet")])
    assert (push.name, push.spec) == ("web", {"replicas": 2})
    assert "2 pods of it start" in push.sentence
    (push,) = halted.pushes([paused], [])
    assert (push.name, push.spec) == ("gateway", {"paused": None})


def job(name: str, release: str, service: str = "migrate") -> dict[str, Any]:
    template = {
        "metadata": {"labels": {SERVICE: service, RELEASE: release, "batch.kubernetes.io/job-name": name}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "migrate"}]},
    }
    return thing(name, {"backoffLimit": 0, "template": template}, service=service, release=release)


def test_the_migration_of_the_release_that_serves_is_chosen() -> None:
    serving = thing("web", status={"readyReplicas": 1}, service="web", release="b")
    first, second = job("migrate-a", "a"), job("migrate-b", "b")
    other = job("database-roles", "", service="database-roles")
    assert migrate.choose([first, second, other], [serving], "k8s") is second
    assert migrate.choose([first, other], [], "k8s") is first, "the only one there is"
    with pytest.raises(Problem, match="for a release that serves"):
        migrate.choose([first, second], [], "k8s")
    with pytest.raises(Problem, match="no job migrate to run again"):
        migrate.choose([other], [serving], "k8s")


def test_a_migration_runs_again_as_a_job_of_its_own_with_the_same_pod() -> None:
    made = migrate.again(job("migrate-" + "a" * 50, "a"))
    assert made["metadata"]["generateName"].startswith("migrate-aaa")
    assert len(made["metadata"]["generateName"]) + 5 <= 63
    assert made["metadata"]["labels"] == {SERVICE: "migrate", RELEASE: "a"}
    assert made["spec"]["template"]["metadata"]["labels"] == {SERVICE: "migrate", RELEASE: "a"}
    assert made["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert made["spec"]["ttlSecondsAfterFinished"] > 0
    assert "selector" not in made["spec"]


def test_a_migrations_exit_code_is_its_pods() -> None:
    ended = thing("p", status={"containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]})
    failed = [{"type": "Failed", "status": "True"}]
    assert migrate.exit_code([ended], failed) == 3
    assert migrate.exit_code([], failed) == 1
    assert migrate.exit_code([], [{"type": "Complete", "status": "True"}]) == 0


def test_a_container_that_has_not_begun_tells_why_and_one_that_began_again_is_read_anew() -> None:
    def pod(state: dict[str, Any], restarts: int) -> dict[str, Any]:
        rows = [{"name": "web", "restartCount": restarts, "state": state}]
        return thing("web-1", status={"containerStatuses": rows}, service="web")

    waiting = {"waiting": {"reason": "ContainerCreating"}}
    assert list(logs.sources(pod(waiting, 0))) == [(logs.Source("web-1", "web", 0), "ContainerCreating")]
    assert list(logs.sources(pod(waiting, 1))) == [(logs.Source("web-1", "web", 1), "")]
    assert list(logs.sources(pod({"running": {}}, 0))) == [(logs.Source("web-1", "web", 0), "")]
    both = [pod({"running": {}}, 0), thing("gateway-1", service="gateway")]
    assert [cluster.name_of(each) for each in logs.chosen(both, "web")] == ["web-1"]
    assert [cluster.name_of(each) for each in logs.chosen(both, "gateway-1")] == ["gateway-1"]
    assert len(logs.chosen(both, "")) == 2


def test_the_claims_among_protected_resources_are_found_by_their_namespace() -> None:
    protected = [
        {"type": remains.CLAIM_TYPE, "id": "scaffold-k8s/database"},
        {"type": remains.CLAIM_TYPE, "id": "elsewhere/database"},
        {"type": "random:index/randomId:RandomId", "id": "scaffold-k8s/x"},
    ]
    assert remains.in_namespace(protected, "scaffold-k8s") == ["database"]


def test_a_namespace_is_the_stacks_own_only_with_both_labels() -> None:
    own = {"metadata": {"labels": cluster.labels("k8s")}}
    assert remains.is_ours(own, "k8s")
    assert not remains.is_ours(own, "other")
    assert not remains.is_ours({"metadata": {}}, "k8s")


def test_what_a_cluster_does_not_tell_is_said_where_it_matters() -> None:
    assert advice.sentences(first=False, own=False, metrics=True) == []
    assert advice.sentences(first=True, own=True, metrics=True) == []
    assert advice.sentences(first=True, own=False, metrics=False) == [advice.POLICIES, advice.NO_METRICS]
