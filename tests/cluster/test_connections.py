"""Who reaches whom: policies drop packets, both ways, from the first one that a pod sends."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.pods import Namespace, policy
from tests.conftest import until

NAMES = ("client", "server", "stranger")
DNS = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}


@pytest.fixture(scope="module")
def addresses(namespace: Namespace, image: str) -> Iterator[dict[str, str]]:
    """Three pods that all serve, by name."""
    namespace.apply(*(namespace.pod(name, image, "serve", "8000", "8001") for name in NAMES))
    namespace.until_ready(*NAMES)
    yield {name: namespace.address(name) for name in NAMES}
    namespace.remove("pod", *NAMES)


@pytest.fixture
def policies(namespace: Namespace) -> Iterator[Namespace]:
    """The namespace, where no policy is left afterwards."""
    yield namespace
    namespace.remove("networkpolicies", "--all")


def matrix(namespace: Namespace, addresses: dict[str, str], port: int = 8000, protocol: str = "tcp") -> set[str]:
    """Return who reaches whom as `client>server`."""

    def reached(name: str) -> set[str]:
        targets = {f"{protocol}:{address}:{port}": other for other, address in addresses.items() if other != name}
        return {f"{name}>{targets[each]}" for each in namespace.reached(name, list(targets))}

    with ThreadPoolExecutor() as pool:
        return set().union(*pool.map(reached, NAMES))


EVERYBODY = {f"{one}>{other}" for one in NAMES for other in NAMES if one != other}


def test_without_policies_everybody_reaches_everybody(policies: Namespace, addresses: dict[str, str]) -> None:
    assert matrix(policies, addresses) == EVERYBODY
    assert matrix(policies, addresses, protocol="udp") == EVERYBODY


@pytest.mark.parametrize("kind", ["Ingress", "Egress"])
def test_a_default_deny_of_either_direction_drops_everything_inside(
    policies: Namespace, addresses: dict[str, str], kind: str
) -> None:
    policies.apply(policy(policies, "deny", {"podSelector": {}, "policyTypes": [kind]}))
    until(lambda: matrix(policies, addresses) == set(), "the denial", 15)
    assert matrix(policies, addresses, protocol="udp") == set()


def test_only_what_is_declared_on_both_ends_gets_through(policies: Namespace, addresses: dict[str, str]) -> None:
    ports = [{"port": 8000}]
    policies.apply(
        policy(policies, "deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        policy(policies, "to-server", {
            "podSelector": {"matchLabels": {"app": "server"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": ports}],
        }),
        policy(policies, "from-client", {
            "podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "server"}}}], "ports": ports}],
        }),
        policy(policies, "from-stranger", {
            "podSelector": {"matchLabels": {"app": "stranger"}}, "policyTypes": ["Egress"], "egress": [{}],
        }),
    )  # fmt: skip
    until(lambda: matrix(policies, addresses) == {"client>server"}, "the declared edge alone", 15)
    assert matrix(policies, addresses, port=8001) == set()
    assert matrix(policies, addresses, protocol="udp") == set()


def test_names_and_the_outside_are_reached_only_where_egress_says_so(
    policies: Namespace, addresses: dict[str, str]
) -> None:
    api = ["10.88.128.1:443", "10.88.0.2:16443", "10.88.0.2:10250"]
    policies.apply(policy(policies, "deny", {"podSelector": {}, "policyTypes": ["Egress"]}))
    until(lambda: matrix(policies, addresses) == set(), "the denial", 15)
    assert opened(policies, api) == set()
    with pytest.raises(AssertionError):
        policies.run("client", "look", "kubernetes.default.svc.cluster.local")
    policies.apply(policy(policies, "names", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [DNS]}))
    until(lambda: looks(policies), "the answer to a name", 15)
    assert opened(policies, api) == set()
    block = {"to": [{"ipBlock": {"cidr": "10.88.0.2/32"}}], "ports": [{"port": 16443}]}
    policies.apply(policy(policies, "api", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [block]}))
    until(lambda: opened(policies, api) == set(api[:2]), "the API alone", 15)


def opened(namespace: Namespace, targets: list[str]) -> set[str]:
    """Return which targets take a connection, whatever they say on it."""
    return set(namespace.run("client", "open", *targets).split())


def looks(namespace: Namespace) -> bool:
    """Return whether a pod is told the address of a name."""
    try:
        return namespace.run("client", "look", "kubernetes.default.svc.cluster.local") == "10.88.128.1\n"
    except AssertionError:
        return False


def test_a_namespace_selector_tells_namespaces_apart(policies: Namespace, addresses: dict[str, str]) -> None:
    def allowing(name: str) -> dict[str, Any]:
        there = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
        return policy(policies, "from", {"podSelector": {}, "ingress": [{"from": [there]}]})

    policies.apply(allowing("kube-system"))
    until(lambda: matrix(policies, addresses) == set(), "the denial", 15)
    policies.apply(allowing(policies.name))
    until(lambda: matrix(policies, addresses) == EVERYBODY, "the way back", 15)


def test_a_connection_that_is_there_stays_when_a_policy_comes(
    policies: Namespace, addresses: dict[str, str], image: str
) -> None:
    policies.apply(policies.pod("holds", image, "hold", f"{addresses['server']}:8000", restartPolicy="Never"))
    until(lambda: "held" in policies.kubectl("logs", "holds", "--ignore-errors"), "the connection", 30)
    policies.apply(policy(policies, "deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))
    until(lambda: matrix(policies, addresses) == set(), "the denial", 15)
    held = policies.log("holds").count("held")
    until(lambda: policies.log("holds").count("held") > held + 3, "more answers on the connection", 15)
    assert "lost" not in policies.log("holds")
    policies.remove("pod", "holds")


def test_a_new_pod_is_isolated_from_its_first_packet(
    policies: Namespace, addresses: dict[str, str], image: str
) -> None:
    policies.apply(policy(policies, "deny", {"podSelector": {}, "policyTypes": ["Egress"]}))
    until(lambda: matrix(policies, addresses) == set(), "the denial", 15)
    names = [f"fresh-{number}" for number in range(4)]
    target = f"tcp:{addresses['server']}:8000"
    policies.apply(*(policies.pod(name, image, "reach", target, restartPolicy="Never") for name in names))
    pods = [f"pod/{name}" for name in names]
    policies.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", *pods)
    assert {name: policies.log(name) for name in names} == dict.fromkeys(names, "")
    policies.remove("pod", *names)


def test_a_new_pod_speaks_from_its_first_packet(policies: Namespace, addresses: dict[str, str], image: str) -> None:
    target = f"tcp:{addresses['server']}:8000"
    policies.apply(policies.pod("speaks", image, "reach", target, restartPolicy="Never"))
    policies.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s", "pod/speaks")
    assert policies.log("speaks") == f"{target}\n"
    policies.remove("pod", "speaks")


def test_probes_of_the_node_reach_an_isolated_pod(policies: Namespace, addresses: dict[str, str], image: str) -> None:
    assert addresses
    policies.apply(policy(policies, "deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))
    probe = {"readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1}}
    policies.apply(policies.pod("probed", image, "serve", "8000", container=probe))
    policies.until_ready("probed")
    policies.remove("pod", "probed")


def test_pods_do_not_reach_the_registry(policies: Namespace, addresses: dict[str, str]) -> None:
    assert addresses
    assert opened(policies, ["10.88.0.2:5055"]) == set()
