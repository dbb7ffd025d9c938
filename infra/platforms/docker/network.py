"""Reachability as Docker networks: an internal one for each service that is called, joined by its callers alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pulumi_docker as docker

from infra.model import Service, System
from infra.platforms.docker.stack import Stack

EDGE = "edge"
EGRESS = "egress"


@dataclass(frozen=True)
class Plan:
    """The networks, True for an internal one, and for each workload the networks it joins, in order."""

    networks: dict[str, bool]
    members: dict[str, tuple[str, ...]]


def towards(service: str) -> str:
    """Return the name of the network on which a service is called."""
    return f"to-{service}"


def plan(system: System) -> Plan:
    """Decide the networks and who joins which."""
    networks: dict[str, bool] = {}
    members: dict[str, list[str]] = {}

    def join(network: str, names: Iterable[str], *, internal: bool) -> None:
        for name in names:
            networks[network] = internal
            members.setdefault(name, []).append(network)

    for service in system.services:
        if service.published:
            join(EDGE, [service.name], internal=False)
    for service in system.services:
        callers = system.callers(service)
        if callers:
            join(towards(service.name), [service.name, *callers], internal=True)
    for name, workload in [
        *((s.name, s.workload) for s in system.services),
        *((j.name, j.workload) for j in system.jobs if not j.acts_as),
    ]:
        if workload.egress:
            join(EGRESS, [name], internal=False)
    return Plan(networks, {name: tuple(joined) for name, joined in members.items()})


def create(stack: Stack, planned: Plan) -> dict[str, docker.Network]:
    """Declare the networks."""
    return {
        name: docker.Network(
            f"network-{name}",
            name=stack.object_name(name),
            driver="bridge",
            internal=internal,
            labels=[
                docker.NetworkLabelArgs(label=label, value=value) for label, value in stack.labels(name, None).items()
            ],
            opts=stack.options(),
        )
        for name, internal in planned.networks.items()
    }


def published_ports(service: Service) -> list[docker.ContainerPortArgs]:
    """Return what a service publishes on the machine."""
    if not service.published:
        return []
    return [
        docker.ContainerPortArgs(
            internal=service.port, external=service.published.port, ip=service.published.address, protocol="tcp"
        )
    ]
