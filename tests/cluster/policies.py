"""NetworkPolicies to try: a small world of pods, any policies on it, and what the API's documentation says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hypothesis import strategies as st

from cluster.policy.plan import Pod

Object = dict[str, Any]
NAMESPACES: dict[str, dict[str, str]] = {
    "shop": {"kubernetes.io/metadata.name": "shop", "team": "a"},
    "bank": {"kubernetes.io/metadata.name": "bank", "team": "b"},
}
POD_NETWORK = IPv4Network("10.88.1.0/24")
PODS = [
    Pod(namespace, f"pod-{number}", POD_NETWORK[number], labels, {"http": ("TCP", port)})
    for number, (namespace, labels, port) in enumerate(
        [
            ("shop", {"app": "web"}, 80),
            ("shop", {"app": "web", "tier": "front"}, 8000),
            ("shop", {"app": "db"}, 80),
            ("bank", {"app": "web"}, 80),
            ("bank", {}, 8000),
        ],
        start=2,
    )
]
STRANGERS = [IPv4Address("10.88.0.1"), IPv4Address("192.0.2.9"), IPv4Address("203.0.113.77")]
PORT_NUMBERS = [53, 80, 443, 8000, 8005]
PROTOCOLS = ["TCP", "UDP"]

labels = st.sampled_from([{"app": "web"}, {"app": "db"}, {"tier": "front"}, {"app": "none"}])
expressions = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        st.sampled_from(["app", "tier"]), st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from(["web", "db", "front"]), min_size=1, max_size=2),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator},
        st.sampled_from(["app", "tier"]), st.sampled_from(["Exists", "DoesNotExist"]),
    ),
)  # fmt: skip
selectors = st.one_of(
    st.just({}),
    st.builds(lambda found: {"matchLabels": found}, labels),
    st.builds(lambda found: {"matchExpressions": [found]}, expressions),
)
namespace_selectors = st.one_of(
    st.just({}), st.builds(lambda team: {"matchLabels": {"team": team}}, st.sampled_from(["a", "b", "c"]))
)
blocks = st.sampled_from(
    [
        {"cidr": "0.0.0.0/0"},
        {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]},
        {"cidr": "10.88.1.0/24", "except": ["10.88.1.3/32", "10.88.1.4/31"]},
        {"cidr": "192.0.2.0/24"},
        {"cidr": "203.0.113.77/32"},
        {"cidr": "2001:db8::/32"},
    ]
)
peers = st.one_of(
    st.builds(lambda found: {"podSelector": found}, selectors),
    st.builds(lambda found: {"namespaceSelector": found}, namespace_selectors),
    st.builds(lambda there, found: {"namespaceSelector": there, "podSelector": found}, namespace_selectors, selectors),
    st.builds(lambda found: {"ipBlock": found}, blocks),
)
ports = st.one_of(
    st.builds(
        lambda protocol, port: {"protocol": protocol, "port": port},
        st.sampled_from(PROTOCOLS), st.sampled_from(PORT_NUMBERS),
    ),
    st.builds(lambda port: {"port": port}, st.sampled_from(PORT_NUMBERS)),
    st.just({"protocol": "TCP", "port": 8000, "endPort": 8010}),
    st.just({"protocol": "TCP", "port": 79, "endPort": 8001}),
    st.builds(lambda protocol: {"protocol": protocol}, st.sampled_from(PROTOCOLS)),
    st.just({"port": "http"}),
    st.just({"port": "none"}),
)  # fmt: skip


def rules(direction: str) -> st.SearchStrategy[list[Object]]:
    """Return rules of a direction, `from` or `to`."""
    one = st.builds(
        lambda found, there: {**({direction: found} if found else {}), **({"ports": there} if there else {})},
        st.lists(peers, max_size=2), st.lists(ports, max_size=3),
    )  # fmt: skip
    return st.lists(one, max_size=2)


specs = st.one_of(
    st.builds(
        lambda selector, kinds, into, out: {
            "podSelector": selector, "policyTypes": kinds,
            **({"ingress": into} if "Ingress" in kinds else {}), **({"egress": out} if "Egress" in kinds else {}),
        },
        selectors, st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]), rules("from"), rules("to"),
    ),
    # Without types, the rules say which directions are meant.
    st.builds(lambda selector, into: {"podSelector": selector, "ingress": into}, selectors, rules("from")),
    st.builds(lambda selector, out: {"podSelector": selector, "egress": out}, selectors, rules("to")),
)  # fmt: skip
policies = st.lists(
    st.builds(
        lambda namespace, spec: {"metadata": {"namespace": namespace, "name": "any"}, "spec": spec},
        st.sampled_from(list(NAMESPACES)), specs,
    ),
    max_size=4,
)  # fmt: skip


def permitted(
    declared: Sequence[Object], source: Pod | IPv4Address, target: Pod | IPv4Address, protocol: str, port: int
) -> bool:
    """Return whether a connection is allowed, read off the policies one by one."""
    if source == target:
        return True
    return _lets(declared, "egress", source, target, protocol, port, target) and _lets(
        declared, "ingress", target, source, protocol, port, target
    )


def _lets(
    declared: Sequence[Object], direction: str, own: Pod | IPv4Address, other: Pod | IPv4Address, protocol: str,
    port: int, receiver: Pod | IPv4Address,
) -> bool:  # fmt: skip
    if not isinstance(own, Pod):
        return True
    isolating = [
        policy
        for policy in declared
        if policy["metadata"]["namespace"] == own.namespace
        and _selects(policy["spec"].get("podSelector", {}), own.labels)
        and direction.capitalize() in _types(policy["spec"])
    ]
    return not isolating or any(
        _peer_matches(rule.get("from" if direction == "ingress" else "to"), other, policy["metadata"]["namespace"])
        and _port_matches(rule.get("ports"), protocol, port, receiver)
        for policy in isolating
        for rule in policy["spec"].get(direction, [])
    )


def _types(spec: Object) -> list[str]:
    found: list[str] = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return found


def _peer_matches(found: Sequence[Object] | None, other: Pod | IPv4Address, namespace: str) -> bool:
    if not found:
        return True
    for peer in found:
        if "ipBlock" in peer:
            block, address = peer["ipBlock"], other.address if isinstance(other, Pod) else other
            inside = ":" not in block["cidr"] and address in IPv4Network(block["cidr"])
            if inside and not any(address in IPv4Network(hole) for hole in block.get("except", [])):
                return True
        elif isinstance(other, Pod):
            if "namespaceSelector" in peer:
                there = _selects(peer["namespaceSelector"], NAMESPACES[other.namespace])
            else:
                there = other.namespace == namespace
            if there and _selects(peer.get("podSelector", {}), other.labels):
                return True
    return False


def _port_matches(found: Sequence[Object] | None, protocol: str, port: int, receiver: Pod | IPv4Address) -> bool:
    if not found:
        return True
    for each in found:
        if each.get("protocol", "TCP") != protocol:
            continue
        wanted: Any = each.get("port")
        if isinstance(wanted, str):
            known = receiver.ports.get(wanted) if isinstance(receiver, Pod) else None
            if known == (protocol, port):
                return True
        elif wanted is None or wanted <= port <= each.get("endPort", wanted):
            return True
    return False


def _selects(selector: Mapping[str, Any], carried: Mapping[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if carried.get(key) != value:
            return False
    for each in selector.get("matchExpressions", []):
        value = carried.get(each["key"])
        holds = {
            "In": value in each.get("values", []),
            "NotIn": value not in each.get("values", []),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[each["operator"]]
        if not holds:
            return False
    return True
