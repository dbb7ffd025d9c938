"""A clone with the whole program and a stack on the tests' cluster, worked on with `make` as a person would."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubernetes.cluster import RunningCluster
from tests.setup.conftest import COPIED, ROOT, Clone, borrow_packages, own_environment

PROGRAM = ("__main__.py", "infra", "cluster", "app", "gateway", "database", "backup")
UP_SECONDS = 1200.0
PROJECT = "scaffold"


@dataclass
class ClusterClone(Clone):
    """A clone whose stack is on Kubernetes."""

    cluster: RunningCluster = field(kw_only=True)

    @property
    def namespace(self) -> str:
        """The stack's namespace."""
        return f"{PROJECT}-{self.stack}"

    def kubectl(self, *arguments: str, timeout: float = 120) -> str:
        """Run kubectl in the stack's namespace and return what it prints."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, timeout=timeout)

    def objects(self, kinds: str) -> list[dict[str, Any]]:
        """Return the stack's objects of some kinds."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kinds, "--output=json"))["items"]
        return found

    def names(self, kinds: str) -> set[str]:
        """Return the names of the stack's objects of some kinds."""
        return {str(each["metadata"]["name"]) for each in self.objects(kinds)}

    def get(self, path: str = "/") -> tuple[int, str]:
        """Ask the site through its port on the node; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://localhost:{self.port}{path}", timeout=10) as answer:
                return int(answer.status), str(answer.read().decode())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()
        except OSError:
            return 0, ""


def make_cluster_clone(folder: Path, cluster: RunningCluster, stack: str, port: int) -> ClusterClone:
    """Make a clone of the whole program, with a stack that is to live on the cluster; nothing runs yet."""
    clone = folder / "clone"
    clone.mkdir(parents=True)
    for name in (*COPIED, *PROGRAM):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, clone / name)
    environment = own_environment(os.environ, folder / "user", stack) | {
        "KUBECONFIG": str(cluster.kubeconfig),
        # Without the packages: the verbs find those in the clone's environment by themselves.
        "PYTHON": str(Path(sys.executable).resolve()),
    }
    made = ClusterClone(clone, folder / "user", stack, port, environment, UP_SECONDS, cluster=cluster)
    write_settings(made)
    borrow_packages(clone, "kubernetes")
    return made


def write_settings(clone: ClusterClone, **settings: str) -> None:
    """Write the tracked stack file; a setting that is given as nothing is left out."""
    values = {
        "platform": "kubernetes",
        "environment": "development",
        "siteUrl": f"http://localhost:{clone.port}",
        "imageRegistry": f"{clone.cluster.registry}/verbs",
        "serviceType": "NodePort",
        "nodePort": str(clone.port),
        "replicas": "2",
        "gatewayReplicas": "1",
        "webMemory": "384",
        # Small promises: the node of a test machine is shared with other stacks.
        "webCpus": "0.5",
        "databaseCpus": "0.5",
        "readySeconds": "60",
        "drainSeconds": "2",
        "leaveSeconds": "3",
    } | settings
    lines = "".join(f"  scaffold:{key}: {value}\n" for key, value in values.items() if value)
    clone.tracked.write_text(f"config:\n{lines}")
