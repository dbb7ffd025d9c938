"""A second Docker daemon with nothing in it, for measuring what a fresh machine would see; needs root."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BRIDGE = "scaffold-bench0"
START_SECONDS = 60


def free_network() -> ipaddress.IPv4Network:
    """Return a private /24 that no interface of this machine uses."""
    listed = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, timeout=10, check=True).stdout)
    used = [
        ipaddress.ip_network(f"{entry['local']}/{entry['prefixlen']}", strict=False)
        for link in listed
        for entry in link["addr_info"]
        if entry["family"] == "inet"
    ]
    for candidate in ipaddress.ip_network("10.200.0.0/16").subnets(new_prefix=24):
        if not any(candidate.overlaps(network) for network in used):
            return ipaddress.IPv4Network(candidate)
    raise RuntimeError("no free private network for the daemon's bridge")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Start the daemon under a folder on a bridge of its own, yield its address, and take everything away again."""
    socket = folder / "docker.sock"
    ip("link", "add", BRIDGE, "type", "bridge")
    try:
        ip("addr", "add", f"{free_network()[1]}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        with (folder / "dockerd.log").open("wb") as log:
            daemon = subprocess.Popen(
                [
                    "dockerd",
                    f"--host=unix://{socket}",
                    f"--data-root={folder / 'root'}",
                    f"--exec-root={folder / 'run'}",
                    f"--pidfile={folder / 'dockerd.pid'}",
                    f"--bridge={BRIDGE}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            wait(socket, daemon, folder / "dockerd.log")
            yield f"unix://{socket}"
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)
    finally:
        ip("link", "del", BRIDGE)


def ip(*arguments: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *arguments], timeout=10, check=True)


def wait(socket: Path, daemon: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the daemon answers; raise RuntimeError with its log when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and daemon.poll() is None:
        asked = ["docker", "--host", f"unix://{socket}", "version"]
        if subprocess.run(asked, capture_output=True, timeout=30, check=False).returncode == 0:
            return
        time.sleep(0.2)
    raise RuntimeError(f"the second daemon did not start:\n{log.read_text()[-2000:]}")
