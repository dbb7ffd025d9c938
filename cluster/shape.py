"""What tells one cluster of this project from another: its name, addresses and ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from setup.places import NAME
from setup.problem import Problem

NETWORK_VARIABLE = "SCAFFOLD_CLUSTER_NETWORK"
DOMAIN = "cluster.local"
NODE_PORTS = range(30000, 32768)
PREFIX = 16


@dataclass(frozen=True)
class Shape:
    """A cluster: its name, the /16 that node, pods and services share, and its ports on this machine's 127.0.0.1.

    A cluster that is `durable` keeps its data through a loss of power, for which it waits for the disk.
    """

    name: str
    network: IPv4Network
    api_port: int
    registry_port: int
    durable: bool = True

    @property
    def host_address(self) -> IPv4Address:
        """This machine's address on the link to the node."""
        return self.network[1]

    @property
    def node_address(self) -> IPv4Address:
        """The node's address on that link."""
        return self.network[2]

    @property
    def pods(self) -> IPv4Network:
        """The pods' addresses."""
        return IPv4Network((int(self.network[256]), 24))

    @property
    def services(self) -> IPv4Network:
        """The addresses of Services."""
        return list(self.network.subnets(1))[1]

    @property
    def api_address(self) -> IPv4Address:
        """The address of the API's own Service."""
        return self.services[1]

    @property
    def dns_address(self) -> IPv4Address:
        """The address where pods ask for names."""
        return self.services[10]

    @property
    def node(self) -> str:
        """The node's name; also of its network namespace, and of this machine's end of the link to it."""
        return f"{self.name}-node"

    @property
    def cgroup(self) -> str:
        """The control group that everything of the cluster runs in."""
        return f"{self.name}-cluster"

    @property
    def table(self) -> str:
        """The table of this machine's packet filter that leads to the node."""
        return f"cluster_{self.name}"

    @property
    def registry(self) -> str:
        """The registry as images are named by it."""
        return f"127.0.0.1:{self.registry_port}"


def shape_of(environment: Mapping[str, str]) -> Shape:
    """Return the user's cluster; raise Problem when `SCAFFOLD_CLUSTER_NETWORK` is no /16 of private addresses."""
    given = environment.get(NETWORK_VARIABLE) or "10.89.0.0/16"
    try:
        network = IPv4Network(given)
    except ValueError as error:
        raise _no_network(given, str(error)) from None
    if network.prefixlen != PREFIX or not network.is_private:
        raise _no_network(given, "it is not a /16 of private addresses")
    return Shape(NAME, network, api_port=6443, registry_port=5050)


def shape_of_tests() -> Shape:
    """Return the cluster that the tests share."""
    return Shape("tests", IPv4Network("10.88.0.0/16"), api_port=16443, registry_port=5055, durable=False)


def _no_network(given: str, why: str) -> Problem:
    return Problem(
        f"{NETWORK_VARIABLE} is {given!r}, no network for a cluster: {why}.",
        f"give it 65,536 private addresses that nothing else here uses: {NETWORK_VARIABLE}=10.90.0.0/16",
    )
