"""A real stack on the test cluster: what a person types, and what kubectl sees of it."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.site import PROJECT, Site, new_site
from tests.kubernetes.cluster import RunningCluster

KUBECTL_SECONDS = 120.0
SETTLE_SECONDS = 120.0
NODE_PORTS = range(30100, 32700)
PASSING = {"events", "events.events.k8s.io", "leases.coordination.k8s.io", "endpointslices.discovery.k8s.io"}
"""Kinds that come and go by themselves."""

Object = dict[str, Any]


@dataclass
class ClusterSite(Site):
    """A stack under test on Kubernetes."""

    cluster: RunningCluster = field(kw_only=True)

    @property
    def namespace(self) -> str:
        """The namespace of the stack."""
        return f"{PROJECT}-{self.stack}"

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = KUBECTL_SECONDS
    ) -> str:
        """Run kubectl in the stack's namespace and return what it prints; with `check=False`, its errors too."""
        command = [*self.cluster.command, "--namespace", self.namespace]
        done = subprocess.run(
            [*command, *arguments], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
            return done.stdout
        return done.stdout + done.stderr

    def everything(self) -> set[str]:
        """Return the name of every object of the stack's namespace, and of every one that is in none.

        Not other namespaces and volumes: those may be another run's.
        """
        found: set[str] = set()
        for namespaced in ("true", "false"):
            kinds = self.kubectl("api-resources", "--verbs=list,delete", f"--namespaced={namespaced}", "--output=name")
            wanted = ",".join(sorted(set(kinds.split()) - PASSING))
            found |= set(self.kubectl("get", wanted, "--output=name").split())
        others = {name for name in found if name.startswith(("namespace/", "persistentvolume/"))}
        return found - others | ({f"namespace/{self.namespace}"} & others)

    def remove_namespace(self) -> None:
        """Remove the stack's namespace with all that is in it, and the volumes behind its claims."""
        self.cluster.remove_namespace(self.namespace)

    def objects(self, kinds: str, selector: str = "") -> list[Object]:
        """Return the objects of some kinds, by label if one is given."""
        chosen = ("--selector", selector) if selector else ()
        found: list[Object] = json.loads(self.kubectl("get", kinds, *chosen, "--output", "json"))["items"]
        return found

    def pods(self, service: str) -> list[Object]:
        """Return the pods of a service that are not on their way out, by name."""
        found = self.objects("pods", f"app.kubernetes.io/name={service}")
        return sorted(
            (pod for pod in found if "deletionTimestamp" not in pod["metadata"]), key=lambda pod: name_of(pod)
        )

    def ready_pods(self, service: str) -> list[Object]:
        """Return those of a service's pods that are ready."""
        return [pod for pod in self.pods(service) if is_ready(pod)]

    def wait_for_gateways(self) -> None:
        """Wait until every gateway has just the addresses of the web pods that are ready; a name server remembers."""

        def know() -> bool:
            wanted = sorted(pod["status"]["podIP"] for pod in self.ready_pods("web"))
            told = [
                json.loads(self.run_in(name_of(pod), "python3", "-m", "watcher", "status"))["addresses"]
                for pod in self.ready_pods("gateway")
            ]
            known = [sorted(address for peer in each.values() for address in peer) for each in told]
            return bool(known) and all(each == wanted for each in known)

        self.wait_until(know, "the gateways know the web pods")

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until a condition holds; fail with what was waited for."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (
                f"not within {seconds:g} s: {what}\n{self.kubectl('get', 'pods,events')}"
            )
            time.sleep(0.2)

    def evict(self, pod: str) -> None:
        """Ask the API to evict a pod, as a drained node does; wait while a disruption budget says not yet."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"

        def accepted() -> bool:
            said = self.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction), check=False)
            return "Success" in said

        self.wait_until(accepted, f"the eviction of {pod} is allowed")

    def run_in(self, pod: str, *command: str, check: bool = True, timeout: float = 30) -> str:
        """Run a command in a pod's first container and return what it prints."""
        return self.kubectl("exec", pod, "--", *command, check=check, timeout=timeout)

    def kill_main_process(self, pod: Object) -> None:
        """Kill the first process of a pod's container from the node, as a crash would."""
        identifier = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        killed = [process for process in processes_of(identifier) if is_first_in_its_container(process)]
        assert killed, f"no process of {name_of(pod)} was found on this machine"
        for process in killed:
            os.kill(process, signal.SIGKILL)


def name_of(pod: Object) -> str:
    """Return an object's name."""
    return str(pod["metadata"]["name"])


def is_ready(pod: Object) -> bool:
    """Whether a pod says that it is ready."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod.get("status", {}).get("conditions", [])
    )


def processes_of(container: str) -> list[int]:
    """Return the processes whose control group is the container's."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if container in (folder / "cgroup").read_text():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def is_first_in_its_container(process: int) -> bool:
    """Whether a process is number 1 where it lives."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
    return numbers[-1] == "1"


def free_node_port() -> int:
    """Return a port of the range for NodePorts that nobody listens on."""
    for port in random.SystemRandom().sample(NODE_PORTS, len(NODE_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("every port for NodePorts is taken")


def new_cluster_site(
    folder: Path,
    stack: str,
    cluster: RunningCluster,
    node_port: int,
    alter: Callable[[Path], None] | None = None,
) -> ClusterSite:
    """Make a stack on the cluster with its own state and settings; nothing runs yet.

    `alter` may change the copied program first.
    """
    plain = new_site(folder, stack, {"gatewayPort": None, "siteUrl": f"http://localhost:{node_port}"}, alter)
    site = ClusterSite(
        plain.folder, plain.stack, node_port, plain.environment, plain.passphrase, plain.opener, cluster=cluster
    )
    for key, value in {
        "platform": "kubernetes",
        "kubeconfig": str(cluster.kubeconfig),
        "imageRegistry": f"{cluster.registry}/tests",
        "serviceType": "NodePort",
        "nodePort": str(node_port),
        "replicas": "2",
        "webMemory": "384",
        # A tenth of it is asked for, and another suite's stack may be on the same two processors.
        "webCpus": "1.0",
        "databaseCpus": "1.0",
        # The test cluster's name server remembers for 5 s.
        "leaveSeconds": "10",
    }.items():
        site.config(key, value)
    return site
