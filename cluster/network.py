"""The node's network: a namespace of its own, a link to this machine, and the rules that lead to it and out of it.

Everything that the cluster's own programs put into a packet filter is in the namespace, and goes with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path

from cluster.layout import Layout
from cluster.shape import Shape
from setup.files import read_text_or_none, write_atomically
from setup.processes import Failed, run

SECONDS = 30
INSIDE = "uplink"
NODE_TABLE = "node"
KERNEL_INSIDE = (
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.disable_ipv6=1",
    "net.ipv6.conf.default.disable_ipv6=1",
)


def provide(layout: Layout) -> bool:
    """Make the network unless it is there as wanted, and return whether anything was made."""
    shape = layout.shape
    wanted = hashlib.sha256(
        "\n".join([outside_rules(shape), inside_rules(shape), str(mtu()), str(shape)]).encode()
    ).hexdigest()
    stamp = layout.runtime / "network"
    if read_text_or_none(stamp) == wanted and _is_there(layout):
        return False
    remove(shape)
    layout.namespace.parent.mkdir(parents=True, exist_ok=True)
    _ip("netns", "add", shape.node)
    _ip("link", "add", shape.node, "mtu", str(mtu()), "type", "veth", "peer", "name", INSIDE, "netns", shape.node)
    _ip("address", "add", f"{shape.host_address}/30", "dev", shape.node)
    _ip("link", "set", shape.node, "up")
    forwarding_switch = Path("/proc/sys/net/ipv4/ip_forward")
    if forwarding_switch.read_text().strip() == "0":
        # As Docker sets it too, so it is not taken back: somebody may count on it by then.
        _write(forwarding_switch, "1")
    # So that a packet from 127.0.0.1 may leave by this link, and by no other.
    _write(Path("/proc/sys/net/ipv4/conf") / shape.node / "route_localnet", "1")
    _ip("route", "replace", str(shape.network), "via", str(shape.node_address))
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{shape.node_address}/30", "dev", INSIDE],
        ["ip", "link", "set", INSIDE, "mtu", str(mtu()), "up"],
        ["ip", "route", "replace", "default", "via", str(shape.host_address)],
        *(["sysctl", "-q", "-w", setting] for setting in KERNEL_INSIDE),
    ):
        inside(layout, command)
    inside(layout, ["nft", "-f", "-"], stdin=inside_rules(shape))
    run(["nft", "-f", "-"], SECONDS, stdin=outside_rules(shape))
    for rule in forwarding(shape):
        if not _has(rule):
            run(["iptables", "-w", "10", "-I", *rule], SECONDS)
    write_atomically(stamp, wanted.encode())
    return True


def remove(shape: Shape) -> None:
    """Take away the namespace with all that is in it, the link, and this machine's rules; what is gone is fine."""
    for rule in forwarding(shape):
        while _has(rule):
            run(["iptables", "-w", "10", "-D", *rule], SECONDS)
    with contextlib.suppress(Failed, OSError):
        run(["nft", "delete", "table", "ip", shape.table], SECONDS)
    with contextlib.suppress(Failed):
        _ip("link", "delete", shape.node)
    with contextlib.suppress(Failed):
        _ip("netns", "delete", shape.node)


def inside(layout: Layout, command: list[str], stdin: str | None = None) -> str:
    """Run a command in the node's network and return what it prints; raise Failed with its words."""
    return run(["nsenter", f"--net={layout.namespace}", "--", *command], SECONDS, stdin=stdin)


def outside_rules(shape: Shape) -> str:
    """Return this machine's rules: its own 127.0.0.1 leads to the node's ports, and the cluster's way out is hidden."""
    return f"""table ip {shape.table} {{
	set node_ports {{
		type inet_service
	}}
	chain output {{
		type nat hook output priority -100; policy accept;
		ip daddr 127.0.0.1 tcp dport {{ {shape.api_port}, {shape.registry_port} }} dnat to {shape.node_address}
		ip daddr 127.0.0.1 tcp dport @node_ports dnat to {shape.node_address}
	}}
	chain postrouting {{
		type nat hook postrouting priority 100; policy accept;
		oifname "{shape.node}" ip saddr 127.0.0.0/8 snat to {shape.host_address}
		ip saddr {shape.network} oifname != "{shape.node}" masquerade
	}}
}}
"""


def inside_rules(shape: Shape) -> str:
    """Return the node's own rules: the registry is for this machine and the node, not for pods."""
    return f"""table ip {NODE_TABLE} {{
	chain input {{
		type filter hook input priority -20; policy accept;
		ip saddr {shape.pods} tcp dport {shape.registry_port} drop
	}}
}}
"""


def node_ports_rules(shape: Shape, ports: list[int]) -> str:
    """Return what puts these ports in the place of those that lead to the node now."""
    lines = [f"flush set ip {shape.table} node_ports"]
    if ports:
        lines.append(f"add element ip {shape.table} node_ports {{ {', '.join(map(str, ports))} }}")
    return "\n".join(lines) + "\n"


def forwarding(shape: Shape) -> list[list[str]]:
    """Return the rules that let the cluster out where this machine forwards nothing otherwise, as Docker sets it."""
    mark = ["-m", "comment", "--comment", shape.cgroup]
    return [
        ["FORWARD", "-i", shape.node, *mark, "-j", "ACCEPT"],
        ["FORWARD", "-o", shape.node, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", *mark, "-j", "ACCEPT"],
    ]


def mtu() -> int:
    """Return the packet size of this machine's way out, which the pods' links must not exceed."""
    return mtu_of(routes(), Path("/sys/class/net"))


def mtu_of(table: list[tuple[str, str]], interfaces: Path) -> int:
    """Return the packet size of the interface that the default route goes by; 1500 where there is none."""
    for destination, interface in table:
        if destination == "default":
            with contextlib.suppress(OSError, ValueError):
                return int((interfaces / interface / "mtu").read_text())
    return 1500


def routes() -> list[tuple[str, str]]:
    """Return destination and interface of this machine's routes."""
    try:
        lines = run(["ip", "-4", "route", "show", "table", "main"], SECONDS).splitlines()
    except (Failed, OSError):
        return []
    found = []
    for line in lines:
        interface = re.search(r"\bdev (\S+)", line)
        if line.split() and interface:
            found.append((line.split()[0], interface[1]))
    return found


def _is_there(layout: Layout) -> bool:
    try:
        inside(layout, ["nft", "list", "table", "ip", NODE_TABLE])
        run(["nft", "list", "table", "ip", layout.shape.table], SECONDS)
        _ip("link", "show", layout.shape.node)
    except Failed:
        return False
    return all(_has(rule) for rule in forwarding(layout.shape))


def _has(rule: list[str]) -> bool:
    try:
        run(["iptables", "-w", "10", "-C", *rule], SECONDS)
    except Failed:
        return False
    return True


def _ip(*arguments: str) -> None:
    run(["ip", *arguments], SECONDS)


def _write(path: Path, text: str) -> None:
    path.write_text(text)
