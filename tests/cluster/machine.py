"""What a cluster could leave behind on this machine, seen at one time."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.kernel import CHANGED, ROOT
from cluster.traces import MADE

# Docker and the shared cluster work on the same machine meanwhile: what is their own is no trace of another cluster.
OTHERS = (
    "veth", "br-", "docker", "DOCKER", "overlay2", "/clusters/tests/", "tests-cluster", "tests-node", "scaffold-node",
    "scaffold-cluster", "/clusters/scaffold/",
)  # fmt: skip


def said(*command: str) -> list[str]:
    """Return the lines that a command prints."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


def rules() -> list[str]:
    """Return the rules of the packet filter, without their counts."""
    return [line for line in said("iptables-save") if line.startswith("-A")]


def groups() -> list[str]:
    """Return the control groups near the top of each hierarchy."""
    top = Path("/sys/fs/cgroup")
    return [str(each) for each in (*top.glob("*/"), *top.glob("*/*/")) if each.is_dir()]


LOOKS: Mapping[str, Callable[[], list[str]]] = {
    "mounts": lambda: [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
    "links": lambda: [line.split(":")[1].strip() for line in said("ip", "-oneline", "link")],
    "routes": lambda: said("ip", "route"),
    "tables": lambda: said("nft", "list", "tables"),
    "rules": rules,
    "network namespaces": lambda: said("ip", "netns", "list"),
    "control groups": groups,
    "folders": lambda: [place for place in MADE if Path(place).exists()],
    "kernel": lambda: [f"{name}={(ROOT / name).read_text().strip()}" for name in CHANGED],
    "run": lambda: [each.name for each in Path("/run").iterdir()],
}


def difference(before: Mapping[str, set[str]], after: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return what came or went, kind by kind."""
    return {kind: before[kind] ^ after[kind] for kind in before if before[kind] != after[kind]}


def snapshot() -> dict[str, set[str]]:
    """Return what there is, kind by kind."""
    return {kind: {each for each in look() if not any(word in each for word in OTHERS)} for kind, look in LOOKS.items()}
