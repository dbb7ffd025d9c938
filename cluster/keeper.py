"""Keeps the packet filter as the NetworkPolicies say, leads NodePorts to the node, and keeps the logs short.

`python -m cluster.keeper CONFIGURATION` runs until it is ended. Each change in the API leads to the whole of the rules
being decided anew from the present state, and loaded in one step. A new pod is announced by the last plug-in of its
network, and does not run before the rules hold for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from cluster import journal
from cluster.collection import Collection, Object
from cluster.network import node_ports_rules
from cluster.policy.plan import Pod, decide
from cluster.policy.ruleset import ruleset
from cluster.shape import Shape
from kubeapi import kubeconfig
from kubeapi.client import Client
from kubeapi.errors import ApiError, UnreachableError
from setup.files import read_text_or_none, write_atomically
from setup.processes import Failed, run

NFT_SECONDS = 20
# Rules that somebody else took away are back after at most this long.
AGAIN_SECONDS = 30.0
TOGETHER_SECONDS = 0.02
LOG_SECONDS = 30.0
PATIENCE_SECONDS = 15.0
ENDED = ("Succeeded", "Failed")
PATHS = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "services": "/api/v1/services",
}


@dataclass(frozen=True)
class Settings:
    """What the keeper works on."""

    kubeconfig: Path
    shape: Shape
    namespace: Path
    socket: Path
    announced: Path
    logs: Path

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Return the settings in a file."""
        found = json.loads(path.read_text(encoding="utf-8"))
        shape = Shape(found["name"], IPv4Network(found["network"]), int(found["apiPort"]), int(found["registryPort"]))
        folders = {name: Path(found[name]) for name in ("kubeconfig", "namespace", "socket", "announced", "logs")}
        return cls(shape=shape, **folders)


@dataclass(frozen=True)
class Announcement:
    """An address that the network gave to a pod's sandbox."""

    namespace: str
    name: str
    uid: str
    address: str


class Keeper:
    """Brings the rules in line with the API's objects and with what is announced."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = Client(kubeconfig.load(str(settings.kubeconfig)))
        self._changed = threading.Event()
        self._applying = threading.Lock()
        self._loaded = ""
        self._forwarded: list[int] | None = None
        self._announced = announced_from(read_text_or_none(settings.announced))
        self.ready = threading.Event()
        self._collections = {
            name: Collection(self._client, path, self._changed.set, say) for name, path in PATHS.items()
        }

    def run(self) -> None:
        """Follow the API for ever."""
        for collection in self._collections.values():
            collection.start()
        for collection in self._collections.values():
            collection.known.wait()
        threading.Thread(target=journal.keep_short, args=(self._settings.logs, LOG_SECONDS), daemon=True).start()
        trouble = ""
        while True:
            again = not self._changed.wait(AGAIN_SECONDS)
            time.sleep(TOGETHER_SECONDS)
            self._changed.clear()
            try:
                self.apply(again=again)
                trouble = ""
                self.ready.set()
            except Exception as error:
                # Whatever it is: without a keeper no new pod starts, and the next state may be one that it can read.
                if str(error) != trouble:
                    trouble = str(error)
                    say(f"the rules could not be loaded, those before stay: {trouble}")
                time.sleep(1)
                self._changed.set()

    def apply(self, *, again: bool = False) -> None:
        """Load the rules that the present state wants, unless they are loaded; `again` loads them all the same."""
        with self._applying:
            found = {name: collection.objects() for name, collection in self._collections.items()}
            pods = pods_from(found["pods"], self._announced.values(), self._settings.shape.pods)
            labels = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in found["namespaces"]}
            wanted = ruleset(decide(found["policies"], pods, labels), self._settings.shape.pods)
            if again or wanted != self._loaded:
                entering = ["nsenter", f"--net={self._settings.namespace}", "--"]
                run([*entering, "nft", "-f", "-"], NFT_SECONDS, stdin=wanted)
                self._loaded = wanted
            ports = node_ports(found["services"])
            if again or ports != self._forwarded:
                run(["nft", "-f", "-"], NFT_SECONDS, stdin=node_ports_rules(self._settings.shape, ports))
                self._forwarded = ports

    def here(self, container: str, told: Announcement) -> None:
        """Take in a new pod's address, and return once the rules hold for it."""
        pods = self._collections["pods"]
        if not pods.has(told.uid):
            # The node's agent heard of the pod before this did.
            path = f"/api/v1/namespaces/{told.namespace}/pods/{told.name}"
            pods.put(self._client.get(path, seconds=PATIENCE_SECONDS))
        with self._applying:
            self._announced = {
                **{key: each for key, each in self._announced.items() if each.address != told.address},
                container: told,
            }
            self._write()
        self.apply()

    def gone(self, container: str) -> None:
        """Forget a sandbox."""
        with self._applying:
            if self._announced.pop(container, None):
                self._write()
        self._changed.set()

    def _write(self) -> None:
        written = {key: vars(each) for key, each in self._announced.items()}
        write_atomically(self._settings.announced, json.dumps(written).encode(), 0o600)


class Server(socketserver.ThreadingUnixStreamServer):
    """Hears what the network plug-in announces, one line of JSON for each connection."""

    daemon_threads = True

    def __init__(self, path: Path, keeper: Keeper) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path), Hearing)
        path.chmod(0o600)
        self.keeper = keeper


class Hearing(socketserver.StreamRequestHandler):
    """One announcement."""

    timeout = PATIENCE_SECONDS
    server: Server

    def handle(self) -> None:
        """Answer with an empty object, or with the problem."""
        problem = ""
        try:
            self._take(json.loads(self.rfile.readline()))
        except (ApiError, UnreachableError, Failed, OSError, ValueError, KeyError, TimeoutError) as error:
            problem = f"the keeper of the network policies cannot do what the pod needs: {error}"
            say(problem)
        with contextlib.suppress(OSError):
            self.wfile.write(json.dumps({"problem": problem}).encode() + b"\n")

    def _take(self, told: Mapping[str, str]) -> None:
        keeper = self.server.keeper
        if told["verb"] == "gone":
            keeper.gone(told["container"])
            return
        if not keeper.ready.wait(PATIENCE_SECONDS):
            raise TimeoutError("it has not heard from the API yet")
        if told["verb"] == "here":
            keeper.here(told["container"], Announcement(told["namespace"], told["name"], told["uid"], told["address"]))


def announced_from(text: str | None) -> dict[str, Announcement]:
    """Return the announcements that an earlier keeper wrote down."""
    try:
        found = json.loads(text or "{}")
        return {key: Announcement(**each) for key, each in found.items()}
    except (ValueError, TypeError):
        return {}


def pods_from(objects: Iterable[Object], announced: Iterable[Announcement], network: IPv4Network) -> list[Pod]:
    """Return the pods that have an address of their own; what was announced goes before what a status says."""
    addresses: dict[str, list[str]] = {}
    for told in announced:
        addresses.setdefault(told.uid, []).append(told.address)
    found: dict[IPv4Address, Pod] = {}
    for each in objects:
        spec, status, meta = each.get("spec") or {}, each.get("status") or {}, each["metadata"]
        if spec.get("hostNetwork") or status.get("phase") in ENDED:
            continue
        said = addresses.get(meta["uid"])
        for text in said or [str(status.get("podIP") or "")]:
            if not text or IPv4Address(text) not in network:
                continue
            address = IPv4Address(text)
            if said or address not in found:
                found[address] = Pod(meta["namespace"], meta["name"], address, meta.get("labels") or {}, ports_of(spec))
    return list(found.values())


def ports_of(spec: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Return a pod's ports by their names."""
    return {
        port["name"]: (port.get("protocol") or "TCP", int(port["containerPort"]))
        for container in spec.get("containers") or []
        for port in container.get("ports") or []
        if port.get("name")
    }


def node_ports(services: Iterable[Object]) -> list[int]:
    """Return the TCP ports that Services have on the node."""
    return sorted(
        {
            int(port["nodePort"])
            for service in services
            for port in (service.get("spec") or {}).get("ports") or []
            if port.get("nodePort") and port.get("protocol", "TCP") == "TCP"
        }
    )


def say(words: str) -> None:
    """Write a line to the log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {words}\n")


def main(arguments: list[str]) -> None:
    """Run the keeper with the settings in the named file."""
    os.umask(0o077)
    settings = Settings.read(Path(arguments[0]))
    keeper = Keeper(settings)
    server = Server(settings.socket, keeper)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    keeper.run()


if __name__ == "__main__":
    main(sys.argv[1:])
