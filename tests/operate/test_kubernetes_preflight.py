"""What would make an update on a cluster fail is said before it begins, with its remedy."""

from __future__ import annotations

from typing import Any

import pytest

from operate.kubernetes import preflight
from operate.kubernetes.cluster import labels
from operate.kubernetes.kinds import CLAIM, INGRESS, KINDS
from setup.problem import Problem

NAMESPACE = "scaffold-k8s"


def said(problem: Problem | None) -> str:
    assert problem is not None
    return f"{problem.cause} Fix: {problem.fix}"


def named(name: str, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **meta}}


@pytest.mark.parametrize("stack", ["Dev", "a_b", "a.b", "x" * 60])
def test_a_stack_of_whose_name_no_namespace_can_be_made_is_refused(stack: str) -> None:
    assert "54 characters at the most" in said(preflight.name_problem(stack, f"scaffold-{stack}"))


def test_usual_names_make_namespaces() -> None:
    assert preflight.name_problem("k8s", NAMESPACE) is None


@pytest.mark.parametrize(
    ("major", "minor", "old"),
    [
        ("1", "29", True),
        ("1", "29+", True),
        ("1", "30", False),
        ("1", "34+", False),
        ("2", "0", False),
        ("", "", False),
    ],
)
def test_a_cluster_that_is_too_old_is_told_from_one_whose_version_cannot_be_read(
    major: str, minor: str, old: bool
) -> None:
    assert (preflight.version_problem(major, minor) is not None) == old


def test_rights_are_asked_for_what_the_settings_want_and_nothing_more() -> None:
    plain = preflight.asks(frozenset(), namespace_is_there=True)
    assert ("create", "apps", "deployments") in plain
    assert ("list", "", "pods") in plain
    assert ("get", "", "pods/log") in plain
    assert ("list", "apps", "replicasets") in plain
    assert not [ask for ask in plain if ask[2] in ("ingresses", "httproutes", "horizontalpodautoscalers")]
    assert ("create", "", "namespaces") not in plain
    more = preflight.asks(frozenset({"ingressClass"}), namespace_is_there=False)
    assert set(more) - set(plain) == {
        ("create", "", "namespaces"),
        *((verb, "networking.k8s.io", "ingresses") for verb in preflight.VERBS),
    }


def test_what_a_user_may_not_do_is_listed_by_kind() -> None:
    refused = [("create", "apps", "deployments"), ("patch", "apps", "deployments"), ("create", "", "namespaces")]
    words = said(preflight.rights_problem(refused, NAMESPACE, "me@far"))
    assert "The user of context 'me@far' may not do in namespace scaffold-k8s" in words
    assert "deployments.apps: create, patch\nnamespaces: create" in words
    assert preflight.RIGHTS in words
    assert preflight.rights_problem([], NAMESPACE, "me@far") is None


def test_the_stacks_own_namespace_and_none_are_fine() -> None:
    own = {"metadata": {"labels": labels("k8s")}, "status": {"phase": "Active"}}
    assert preflight.namespace_problem(own, NAMESPACE, labels("k8s"), "k8s") is None
    assert preflight.namespace_problem(None, NAMESPACE, labels("k8s"), "k8s") is None


@pytest.mark.parametrize("carried", [None, {}, labels("another"), {"app.kubernetes.io/part-of": "other"}])
def test_somebody_elses_namespace_is_refused_with_whose_it_is(carried: dict[str, str] | None) -> None:
    found = {"metadata": {"labels": carried}, "status": {"phase": "Active"}}
    words = said(preflight.namespace_problem(found, NAMESPACE, labels("k8s"), "k8s"))
    assert "was not made for the stack k8s (app.kubernetes.io/" in words
    own = "kubectl label namespace scaffold-k8s app.kubernetes.io/part-of=scaffold app.kubernetes.io/instance=k8s"
    # What carries another's labels is not given away, and nothing is ever deleted on our word.
    assert (own in words) == (not carried)
    assert "delete" not in words


def test_a_namespace_on_its_way_out_is_waited_for() -> None:
    going = {"metadata": {"labels": labels("k8s")}, "status": {"phase": "Terminating"}}
    assert "is being deleted" in said(preflight.namespace_problem(going, NAMESPACE, labels("k8s"), "k8s"))


def test_a_port_on_the_nodes_that_another_service_has_names_it() -> None:
    def service(namespace: str, *ports: int) -> dict[str, Any]:
        return {**named("front", namespace=namespace), "spec": {"ports": [{"nodePort": port} for port in ports]}}

    words = said(preflight.node_port_problem(30080, [service("shop", 30079, 30080)], NAMESPACE))
    assert "Port 30080 of the nodes is taken by the Service shop/front" in words
    assert preflight.node_port_problem(30080, [service(NAMESPACE, 30080)], NAMESPACE) is None
    assert preflight.node_port_problem(30080, [{**named("a", namespace="b"), "spec": {}}], NAMESPACE) is None


@pytest.mark.parametrize(
    ("wanted", "classes", "claims", "words"),
    [
        ("", [("fast", {})], ["database"], "no default StorageClass for the claim database; it has fast"),
        ("", [("fast", {})], ["backups"], "for the claim backups; it has fast"),
        ("", [], ["database"], "it has none"),
        ("", [("fast", {"storageclass.kubernetes.io/is-default-class": "true"})], ["database"], None),
        ("", [("fast", {"storageclass.kubernetes.io/is-default-class": "false"})], ["database"], "no default"),
        ("slow", [("fast", {})], ["restore"], "no StorageClass slow, which storageClass names; it has fast"),
        ("fast", [("fast", {})], ["database"], None),
        ("slow", [], [], None),
    ],
)
def test_a_claim_that_would_stay_unbound_is_said_with_how_to_do_without(
    wanted: str, classes: list[tuple[str, dict[str, str]]], claims: list[str], words: str | None
) -> None:
    found = preflight.storage_problem(wanted, [named(name, annotations=given) for name, given in classes], claims)
    assert (found is None) == (words is None)
    assert words is None or words in said(found)
    for name, way in preflight.WITHOUT.items():
        assert found is None or (way in found.fix) == (name in claims)


def test_a_managed_database_needs_no_claim_and_backups_beside_it_do() -> None:
    own = preflight.claims_wanted(managed=False, archive=True, backups=True, restores=True)
    assert own == list(preflight.WITHOUT)
    beside = preflight.claims_wanted(managed=True, archive=False, backups=True, restores=False)
    assert beside == ["backups"]


def test_an_ingress_that_nobody_would_serve_is_said() -> None:
    assert preflight.ingress_problem("", []) is None
    assert preflight.ingress_problem("nginx", [named("nginx")]) is None
    assert "no IngressClass nginx, which ingressClass names; it has traefik" in said(
        preflight.ingress_problem("nginx", [named("traefik")])
    )


def test_a_kind_that_the_cluster_does_not_serve_names_the_setting_that_wants_it() -> None:
    assert "does not serve Ingress (networking.k8s.io/v1), which ingressClass needs" in said(
        preflight.kind_problem(INGRESS, served=False)
    )
    assert preflight.kind_problem(INGRESS, served=True) is None


@pytest.mark.parametrize(
    ("known", "running", "sweep", "refused"),
    [
        (False, ["Deployment web"], False, True),
        (True, ["Deployment web"], False, False),
        (False, ["Deployment web"], True, False),
        (False, [], False, False),
    ],
)
def test_a_running_stack_of_another_state_is_left_alone_until_it_is_said(
    known: bool, running: list[str], sweep: bool, refused: bool
) -> None:
    found = preflight.stray_problem("k8s", NAMESPACE, known=known, running=running, sweep=sweep)
    assert (found is not None) == refused
    assert found is None or ("Deployment web" in found.cause and "SWEEP=yes" in found.fix)


def test_a_stack_does_not_wander_to_another_cluster_unnoticed() -> None:
    assert "is on another cluster than the one at https://far" in said(
        preflight.moved_problem("k8s", "one", "two", "https://far")
    )
    for before, now in (("one", "one"), ("", "two"), ("one", "")):
        assert preflight.moved_problem("k8s", before, now, "https://far") is None


def test_claims_are_no_kind_that_is_swept_away() -> None:
    assert CLAIM not in KINDS
    assert not [kind for kind in KINDS if kind.name in ("Namespace", "PersistentVolume")]
