"""Whom a container calls: its kernel's own table of connections, where one that is over stays for a minute."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import run_docker

LISTENING = "0A"


@dataclass(frozen=True, order=True)
class Connection:
    """A connection, seen from the container."""

    own_port: int
    address: str
    port: int


def connections(table: str) -> set[Connection]:
    """Return the connections in a table of the kernel, without those that only listen."""
    found = set()
    for line in table.splitlines()[1:]:
        _, own, other, state = line.split()[:4]
        if state != LISTENING:
            found.add(Connection(int(own.rpartition(":")[2], 16), address_of(other), int(other.rpartition(":")[2], 16)))
    return found


def address_of(written: str) -> str:
    """Return an address that the kernel writes in words of four bytes, each with its last byte first."""
    digits = written.rpartition(":")[0]
    raw = b"".join(bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8))
    found = ipaddress.ip_address(raw)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


@dataclass(frozen=True)
class Container:
    """A container whose connections are looked at, and the port at which it is called itself."""

    name: str
    port: int

    def called(self) -> set[Connection]:
        """Return what it called, but for itself."""
        pid = run_docker("inspect", "--format", "{{.State.Pid}}", self.name)
        tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
        every = set().union(*(connections(table) for table in tables))
        return {one for one in every if one.own_port != self.port and not ipaddress.ip_address(one.address).is_loopback}

    def outside(self) -> str:
        """Return an address of this machine that the container reaches."""
        template = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}\n{{end}}"
        network = run_docker("inspect", "--format", template, self.name).split()[0]
        return run_docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)

    def addresses(self) -> set[str]:
        """Return by which addresses others reach it."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}\n{{end}}"
        return set(run_docker("inspect", "--format", template, self.name).split())


class Listener:
    """A server on this machine that nobody should call."""

    def __init__(self, address: str) -> None:
        self.socket = socket.create_server((address, 0))
        self.socket.setblocking(False)
        self.address, self.port = self.socket.getsockname()[:2]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.address}:{self.port}/"

    def was_called(self) -> bool:
        """Tell whether anybody came."""
        try:
            self.socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Listen no more."""
        self.socket.close()
