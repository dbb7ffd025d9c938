"""Who may speak to whom, decided from policies, pods and namespaces; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from cluster.policy.selector import Labels, selects

Object = Mapping[str, Any]
EVERY_PORT = (1, 65535)
PROTOCOLS = ("TCP", "UDP", "SCTP")


@dataclass(frozen=True)
class Pod:
    """A pod with an address of its own: its labels, and its ports by name as (protocol, number)."""

    namespace: str
    name: str
    address: IPv4Address
    labels: Labels = field(default_factory=dict, hash=False)
    ports: Mapping[str, tuple[str, int]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, order=True)
class Ports:
    """A range of ports of one protocol."""

    protocol: str
    first: int = EVERY_PORT[0]
    last: int = EVERY_PORT[1]


@dataclass(frozen=True)
class Allowance:
    """What is let through: the other side's networks (None: everybody), and ports (None: of every protocol)."""

    peers: frozenset[IPv4Network] | None
    ports: frozenset[Ports] | None

    def covers(self, peer: IPv4Address, protocol: str, port: int) -> bool:
        """Return whether it lets a connection through."""
        reached = self.peers is None or any(peer in network for network in self.peers)
        return reached and (
            self.ports is None
            or any(each.protocol == protocol and each.first <= port <= each.last for each in self.ports)
        )


Allowances = frozenset[Allowance]


@dataclass(frozen=True)
class Plan:
    """For each address that policies isolate, what it may receive and send; `pods` are all addresses that are known."""

    pods: frozenset[IPv4Address] = frozenset()
    ingress: Mapping[IPv4Address, Allowances] = field(default_factory=dict)
    egress: Mapping[IPv4Address, Allowances] = field(default_factory=dict)

    def allows(self, source: IPv4Address, target: IPv4Address, protocol: str, port: int) -> bool:
        """Return whether one side may connect to the other, as the rules that are made of this decide it."""
        if source == target:
            return True
        sent = self.egress.get(source)
        received = self.ingress.get(target)
        return (sent is None or any(each.covers(target, protocol, port) for each in sent)) and (
            received is None or any(each.covers(source, protocol, port) for each in received)
        )


def decide(policies: Iterable[Object], pods: Sequence[Pod], namespaces: Mapping[str, Labels]) -> Plan:
    """Return the plan; a pod that no policy selects in a direction is not isolated in it."""
    ingress: dict[IPv4Address, set[Allowance]] = {}
    egress: dict[IPv4Address, set[Allowance]] = {}
    by_namespace: dict[str, list[Pod]] = {}
    for pod in pods:
        by_namespace.setdefault(pod.namespace, []).append(pod)
    for policy in policies:
        namespace, spec = policy["metadata"]["namespace"], policy.get("spec") or {}
        selected = [
            pod for pod in by_namespace.get(namespace, []) if selects(spec.get("podSelector") or {}, pod.labels)
        ]
        if not selected:
            continue
        found = _Peers(namespace, pods, namespaces)
        kinds = directions(spec)
        if "Ingress" in kinds:
            for pod in selected:
                received = ingress.setdefault(pod.address, set())
                for rule in spec.get("ingress") or []:
                    received.update(_received(rule, pod, found))
        if "Egress" in kinds:
            sent = {allowance for rule in spec.get("egress") or [] for allowance in _sent(rule, found)}
            for pod in selected:
                egress.setdefault(pod.address, set()).update(sent)
    return Plan(
        frozenset(pod.address for pod in pods),
        {address: frozenset(found) for address, found in ingress.items()},
        {address: frozenset(found) for address, found in egress.items()},
    )


def directions(spec: Object) -> set[str]:
    """Return the directions that a policy isolates; where it does not say, as the API's documentation has it."""
    named = spec.get("policyTypes")
    if named:
        return set(named)
    return {"Ingress", "Egress"} if spec.get("egress") else {"Ingress"}


def block(found: Object) -> frozenset[IPv4Network]:
    """Return the networks of an `ipBlock`, without its exceptions; none where it is of the other kind of address."""
    if ":" in found["cidr"]:
        return frozenset()
    left = [IPv4Network(found["cidr"], strict=False)]
    for text in found.get("except") or []:
        without = IPv4Network(text, strict=False)
        left = [piece for network in left for piece in _without(network, without)]
    return frozenset(left)


class _Peers:
    """Finds whom a policy of one namespace speaks of."""

    def __init__(self, namespace: str, pods: Sequence[Pod], namespaces: Mapping[str, Labels]) -> None:
        self._namespace = namespace
        self._pods = pods
        self._namespaces = namespaces

    def networks(self, peers: Sequence[Object]) -> frozenset[IPv4Network]:
        found: set[IPv4Network] = set()
        for peer in peers:
            if peer.get("ipBlock"):
                found |= block(peer["ipBlock"])
        chosen = [pod for pod in self._pods if any(self._is(peer, pod) for peer in peers)]
        return frozenset(found | {IPv4Network(pod.address) for pod in chosen})

    def every_pod(self) -> Sequence[Pod]:
        return self._pods

    def _is(self, peer: Object, pod: Pod) -> bool:
        if peer.get("ipBlock") is not None:
            return False
        if peer.get("namespaceSelector") is None:
            there = pod.namespace == self._namespace
        else:
            labels = self._namespaces.get(pod.namespace)
            there = labels is not None and selects(peer["namespaceSelector"], labels)
        return there and selects(peer.get("podSelector") or {}, pod.labels)


def _received(rule: Object, pod: Pod, found: _Peers) -> Iterable[Allowance]:
    """Yield what an ingress rule lets through to one pod; a named port is that pod's own."""
    peers = found.networks(rule["from"]) if rule.get("from") else None
    if not rule.get("ports"):
        yield Allowance(peers, None)
        return
    ports = {known for known in (_ports(each, pod) for each in rule["ports"]) if known}
    if ports:
        yield Allowance(peers, frozenset(ports))


def _sent(rule: Object, found: _Peers) -> Iterable[Allowance]:
    """Yield what an egress rule lets out; a named port is each of its targets' own, and nothing where it has none."""
    peers = found.networks(rule["to"]) if rule.get("to") else None
    if not rule.get("ports"):
        yield Allowance(peers, None)
        return
    numbered = frozenset(known for known in (_ports(each, None) for each in rule["ports"]) if known)
    if numbered:
        yield Allowance(peers, numbered)
    named = [each for each in rule["ports"] if isinstance(each.get("port"), str)]
    if named:
        for target in found.every_pod():
            own = frozenset(known for known in (_ports(each, target) for each in named) if known)
            if own and (peers is None or any(target.address in network for network in peers)):
                yield Allowance(frozenset({IPv4Network(target.address)}), own)


def _ports(found: Object, pod: Pod | None) -> Ports | None:
    protocol, port = found.get("protocol") or "TCP", found.get("port")
    if port is None:
        return Ports(protocol)
    if isinstance(port, str):
        known = pod.ports.get(port) if pod else None
        return Ports(protocol, known[1], known[1]) if known and known[0] == protocol else None
    return Ports(protocol, int(port), int(found.get("endPort") or port))


def _without(network: IPv4Network, hole: IPv4Network) -> list[IPv4Network]:
    if not network.overlaps(hole):
        return [network]
    return list(network.address_exclude(hole)) if hole.subnet_of(network) and hole != network else []
