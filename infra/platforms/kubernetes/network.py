"""Reachability as NetworkPolicies: nobody reaches anybody, then each declared edge by itself, from both of its ends."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from infra.model import EVERYWHERE, Job, Service, System
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Manifest, Object
from infra.platforms.kubernetes.stack import NAME, Stack

DENY = "default-deny"
DNS_PORT = 53
SOLVER_PORT = 8089
SOLVER = {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}}
"""The pods by which cert-manager answers for the site's host (cert-manager.io/docs/configuration/acme/http01)."""


def plan(system: System, api_ports: Collection[int] = (), *, solver: bool = False) -> dict[str, Manifest]:
    """Decide the policies: name and spec; whoever may stop others reaches the cluster's API, by its ports.

    With a `solver` a certificate is made in the namespace, by a pod that the authority has to reach.
    """
    policies: dict[str, Manifest] = {DENY: {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}
    if solver:
        policies["to-acme-solver"] = {
            "podSelector": SOLVER,
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [port(SOLVER_PORT)]}],
        }
    for service in system.services:
        allowed = ingress(system, service)
        if allowed:
            policies[f"to-{service.name}"] = {
                "podSelector": pods(service.name),
                "policyTypes": ["Ingress"],
                "ingress": allowed,
            }
    for each in system.identities:
        towards = list(egress(system, each, api_ports))
        if towards:
            policies[f"from-{each.name}"] = {
                "podSelector": pods(each.name),
                "policyTypes": ["Egress"],
                # What is called is called by name. Where a cluster answers names differs: a pod, or the node.
                "egress": [*towards, {"ports": [port(DNS_PORT, "UDP"), port(DNS_PORT)]}],
            }
    return policies


def ingress(system: System, service: Service) -> list[Manifest]:
    """Return who may call a service: everybody where it is published, else its callers."""
    if service.published:
        return [{"ports": [port(service.port)]}]
    callers = system.callers(service)
    if not callers:
        return []
    return [{"from": [{"podSelector": pods(name)} for name in callers], "ports": [port(service.port)]}]


def egress(system: System, each: Service | Job, api_ports: Collection[int] = ()) -> Iterator[Manifest]:
    """Yield whom a workload may call: the services that name it, and what it calls outside."""
    for service in system.services:
        if each.name in system.callers(service):
            yield {"to": [{"podSelector": pods(service.name)}], "ports": [port(service.port)]}
    if isinstance(each, Service) and each.controls:
        # Policies look at where a call arrives, and which machines serve the API changes.
        yield beyond(EVERYWHERE, *sorted(api_ports))
    for outside in each.workload.egress:
        yield beyond(outside.cidr, outside.port)


def beyond(cidr: str, *numbers: int) -> Manifest:
    """Return the way to some ports of a network.

    Everywhere is no network: some clusters take a block for addresses outside of them alone, and 0.0.0.0/0 is IPv4's.
    """
    to = {} if cidr == EVERYWHERE else {"to": [{"ipBlock": {"cidr": cidr}}]}
    return {**to, "ports": [port(number) for number in numbers]}


def pods(name: str) -> dict[str, Any]:
    """Return the selector of a workload's pods."""
    return {"matchLabels": {NAME: name}}


def port(number: int, protocol: str = "TCP") -> dict[str, Any]:
    """Return a port as policies name it."""
    return {"port": number, "protocol": protocol}


def create(stack: Stack, planned: dict[str, Manifest], first: Ready) -> list[Object]:
    """Declare the policies."""
    return [
        stack.declare(
            f"policy-{name}",
            "networking.k8s.io/v1",
            "NetworkPolicy",
            {"spec": spec},
            service=name,
            object_name=name,
            first=first,
        )
        for name, spec in planned.items()
    ]
