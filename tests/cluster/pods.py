"""A namespace with small pods, as tests speak of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.kubernetes.cluster import RunningCluster

READY_SECONDS = 60
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class Namespace:
    """A namespace that admits restricted pods only."""

    cluster: RunningCluster
    name: str

    def create(self) -> None:
        """Make the namespace."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})

    def delete(self) -> None:
        """Remove the namespace with all that is in it."""
        self.cluster.kubectl("delete", "namespace", self.name, "--timeout=90s", timeout=100)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Make objects as they are given."""
        made = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        done = subprocess.run(
            [*self.cluster.command, "apply", "--filename=-"],
            input=json.dumps(made), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def kubectl(self, *arguments: str, timeout: float = 120) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, timeout=timeout)

    def remove(self, *arguments: str) -> None:
        """Remove objects and wait until they are gone."""
        self.kubectl("delete", *arguments, "--timeout=60s")

    def pod(self, name: str, image: str, *arguments: str, **more: Any) -> dict[str, Any]:
        """Return a pod; `labels` and what else a pod's spec takes may be given."""
        labels = more.pop("labels", {"app": name})
        container = {
            "name": "probe", "image": image, "args": list(arguments), "securityContext": RESTRICTED,
            **more.pop("container", {}),
        }  # fmt: skip
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.name, "labels": labels},
            "spec": {
                "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1, "containers": [container],
                **more,
            },
        }  # fmt: skip

    def until_ready(self, *names: str) -> None:
        """Wait until pods are ready."""
        pods = [f"pod/{name}" for name in names]
        self.kubectl("wait", "--for=condition=Ready", f"--timeout={READY_SECONDS}s", *pods)

    def address(self, pod: str) -> str:
        """Return a pod's address."""
        return self.kubectl("get", "pod", pod, "--output=jsonpath={.status.podIP}")

    def run(self, pod: str, *arguments: str) -> str:
        """Run the probe in a pod and return what it prints."""
        return self.kubectl("exec", pod, "--", "/probe", *arguments)

    def reached(self, pod: str, targets: Sequence[str]) -> set[str]:
        """Return which of the targets answer a pod."""
        return set(self.run(pod, "reach", *targets).split())

    def log(self, pod: str) -> str:
        """Return what a pod has said."""
        return self.kubectl("logs", pod)


def policy(namespace: Namespace, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a NetworkPolicy."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace.name},
        "spec": dict(spec),
    }


def from_here(program: str, *arguments: str) -> set[str]:
    """Return what the probe prints on this machine."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())
