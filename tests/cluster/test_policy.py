"""NetworkPolicies become rules that say what the policies say; the packet filter takes them."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from cluster.policy.plan import Pod, block, decide
from cluster.policy.ruleset import ruleset
from tests.cluster.policies import (
    NAMESPACES,
    POD_NETWORK,
    PODS,
    PORT_NUMBERS,
    PROTOCOLS,
    STRANGERS,
    permitted,
    policies,
)

Policies = list[dict[str, Any]]


def address_of(side: Pod | IPv4Address) -> IPv4Address:
    return side.address if isinstance(side, Pod) else side


@settings(max_examples=200)
@given(policies)
def test_a_plan_allows_what_the_policies_allow_and_nothing_else(declared: Policies) -> None:
    plan = decide(declared, PODS, NAMESPACES)
    sides: Sequence[Pod | IPv4Address] = [*PODS, *STRANGERS]
    for source in sides:
        for target in sides:
            for protocol in PROTOCOLS:
                for port in PORT_NUMBERS:
                    decided = plan.allows(address_of(source), address_of(target), protocol, port)
                    assert decided == permitted(declared, source, target, protocol, port), (
                        f"{source} to {target} {protocol} {port}"
                    )


@settings(max_examples=50)
@given(policies)
def test_the_order_of_policies_and_pods_decides_nothing(declared: Policies) -> None:
    forward = ruleset(decide(declared, PODS, NAMESPACES), POD_NETWORK)
    assert ruleset(decide(declared[::-1], PODS[::-1], NAMESPACES), POD_NETWORK) == forward


@pytest.fixture(scope="module")
def room() -> Iterator[str]:
    """A network namespace where rules may be loaded."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    name = f"room-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=30)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True, timeout=30)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(policies)
def test_the_packet_filter_takes_every_plan(room: str, declared: Policies) -> None:
    rules = ruleset(decide(declared, PODS, NAMESPACES), POD_NETWORK)
    done = subprocess.run(
        ["ip", "netns", "exec", room, "nft", "-f", "-"],
        input=rules, text=True, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stderr}\n{rules}"


def test_no_policies_isolate_nobody() -> None:
    plan = decide([], PODS, NAMESPACES)
    assert not plan.ingress
    assert not plan.egress
    assert plan.pods == {pod.address for pod in PODS}


def test_an_empty_cluster_has_rules_too() -> None:
    rules = ruleset(decide([], [], {}), POD_NETWORK)
    assert "ip saddr 10.88.1.0/24 ip saddr != @pods drop" in rules


def test_pods_that_are_treated_alike_share_a_chain() -> None:
    deny = {"metadata": {"namespace": "shop", "name": "deny"}, "spec": {"podSelector": {}}}
    rules = ruleset(decide([deny], PODS, NAMESPACES), POD_NETWORK)
    assert rules.count("chain in_") == 1


def test_a_block_is_without_its_exceptions() -> None:
    left = block({"cidr": "10.0.0.0/30", "except": ["10.0.0.1/32", "10.0.0.2/31"]})
    assert {str(address) for network in left for address in network} == {"10.0.0.0"}
    assert block({"cidr": "2001:db8::/32"}) == frozenset()


def test_an_unknown_operator_is_refused_by_name() -> None:
    odd = {"podSelector": {"matchExpressions": [{"key": "app", "operator": "Like", "values": ["web"]}]}}
    with pytest.raises(ValueError, match="the operator is 'Like'"):
        decide([{"metadata": {"namespace": "shop"}, "spec": odd}], PODS, NAMESPACES)
