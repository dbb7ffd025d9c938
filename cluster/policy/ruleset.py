"""A plan as rules for `nft`; pure. Loading them replaces the ones before in one step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from cluster.policy.plan import EVERY_PORT, Allowance, Allowances, Plan, Ports

TABLE = "policies"
EGRESS_PRIORITY = -10
INGRESS_PRIORITY = -5


def ruleset(plan: Plan, pods: IPv4Network) -> str:
    """Return the rules.

    What is on its way stays, a pod reaches itself, and an address of a pod that nobody has told of is nobody's: its
    packets are dropped. What comes from the node itself, such as its agent's probes, is not forwarded and not filtered.
    Each direction has a chain of its own: to be let out by the one is not to be let in by the other.
    """
    sending, receiving = _numbered(plan.egress), _numbered(plan.ingress)
    everywhere = [
        "ct state established,related accept",
        "ip saddr . ip daddr @same accept",
    ]
    out = [*everywhere, f"ip saddr {pods} ip saddr != @pods drop", "ip saddr vmap @egress"]
    into = [*everywhere, f"ip daddr {pods} ip daddr != @pods drop", "ip daddr vmap @ingress"]
    return "\n".join(
        [
            f"table inet {TABLE}",
            f"delete table inet {TABLE}",
            f"table inet {TABLE} {{",
            *_set("pods", "ipv4_addr", map(str, sorted(plan.pods))),
            *_set("same", "ipv4_addr . ipv4_addr", (f"{address} . {address}" for address in sorted(plan.pods))),
            *_chains("out", sending),
            *_chains("in", receiving),
            *_verdicts("egress", "out", plan.egress, sending),
            *_verdicts("ingress", "in", plan.ingress, receiving),
            *_hook("forwarded_out", "forward", EGRESS_PRIORITY, out),
            *_hook("to_the_node", "input", EGRESS_PRIORITY, out),
            *_hook("forwarded_in", "forward", INGRESS_PRIORITY, into),
            "}",
            "",
        ]
    )


def lines(allowance: Allowance) -> list[str]:
    """Return the rules of one allowance, one for each protocol that it names."""
    if allowance.peers is not None and not allowance.peers:
        return []
    networks = ", ".join(map(str, collapse_addresses(allowance.peers or ())))
    peers = f"ip @@ {{ {networks} }} " if networks else ""
    if allowance.ports is None:
        return [f"{peers}accept"]
    by_protocol: dict[str, list[Ports]] = {}
    for each in sorted(allowance.ports):
        by_protocol.setdefault(each.protocol, []).append(each)
    return [f"{peers}{_matched(protocol, ports)} accept" for protocol, ports in by_protocol.items()]


def _matched(protocol: str, ports: list[Ports]) -> str:
    name = protocol.lower()
    if any((each.first, each.last) == EVERY_PORT for each in ports):
        return f"meta l4proto {name}"
    ranges = ", ".join(f"{first}-{last}" if first != last else str(first) for first, last in _merged(ports))
    return f"{name} dport {{ {ranges} }}"


def _merged(ports: Iterable[Ports]) -> list[tuple[int, int]]:
    """Return ranges that do not overlap: a set of `nft` takes no others."""
    found: list[tuple[int, int]] = []
    for each in sorted(ports):
        if found and each.first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], each.last))
        else:
            found.append((each.first, each.last))
    return found


def _numbered(directed: Mapping[IPv4Address, Allowances]) -> dict[Allowances, int]:
    """Return a number for each different set of allowances: pods that are treated alike share a chain."""
    found: dict[Allowances, int] = {}
    for address in sorted(directed):
        found.setdefault(directed[address], len(found))
    return found


def _chains(direction: str, numbered: Mapping[Allowances, int]) -> list[str]:
    other = "daddr" if direction == "out" else "saddr"
    written = []
    for allowances, number in numbered.items():
        rules = sorted({line.replace("@@", other) for each in allowances for line in lines(each)})
        written += [f"chain {direction}_{number} {{", *(f"\t{rule}" for rule in rules), "\tdrop", "}"]
    return written


def _verdicts(
    name: str, direction: str, directed: Mapping[IPv4Address, Allowances], numbered: Mapping[Allowances, int]
) -> list[str]:
    elements = [f"{address} : goto {direction}_{numbered[directed[address]]}" for address in sorted(directed)]
    return _collection("map", name, "ipv4_addr : verdict", elements)


def _set(name: str, kind: str, elements: Iterable[str]) -> list[str]:
    return _collection("set", name, kind, list(elements))


def _collection(word: str, name: str, kind: str, elements: list[str]) -> list[str]:
    held = [f"\telements = {{ {', '.join(elements)} }}"] if elements else []
    return [f"{word} {name} {{", f"\ttype {kind}", *held, "}"]


def _hook(name: str, hook: str, priority: int, rules: list[str]) -> list[str]:
    return [
        f"chain {name} {{", f"\ttype filter hook {hook} priority {priority}; policy accept;",
        *(f"\t{rule}" for rule in rules), "}",
    ]  # fmt: skip
