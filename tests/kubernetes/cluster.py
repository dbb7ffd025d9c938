"""The cluster that the tests share: started when it is not there, and left running for the next run."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.layout import layout_of
from cluster.obstacles import obstacles
from cluster.running import running
from cluster.shape import shape_of_tests
from cluster.start import start
from operate.request import request_from
from operate.test import own_places
from setup.problem import Problem
from setup.terminal import Terminal
from tests.conftest import is_of_a_dead_run


@dataclass(frozen=True)
class RunningCluster:
    """A cluster that answers: how to reach it, its registry, and kubectl in its version."""

    kubeconfig: Path
    registry: str
    kubectl_program: Path
    api_port: int

    @property
    def command(self) -> list[str]:
        """The beginning of every kubectl command line."""
        return [str(self.kubectl_program), "--kubeconfig", str(self.kubeconfig)]

    def kubectl(self, *arguments: str, timeout: float = 120) -> str:
        """Run kubectl and return what it prints; raise AssertionError with its words if it fails."""
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def remove_namespace(self, name: str) -> None:
        """Remove a namespace with all that is in it and wait until it is gone.

        Nobody is served from it any more, so its pods need not take the time that they have for taking leave.
        """
        self.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
        self.kubectl("delete", "pods", "--all", f"--namespace={name}", "--grace-period=1", "--wait=false")
        self.kubectl("wait", f"namespace/{name}", "--for=delete", "--timeout=90s")

    def remove_what_dead_runs_left(self, prefix: str) -> None:
        """Remove the namespaces of that prefix whose test run is gone, without waiting: a busy cluster takes long."""
        for name in self.kubectl("get", "namespaces", "--output=name").split():
            kind, found, run = name.partition(f"/{prefix}")
            if found and kind == "namespace" and is_of_a_dead_run(run):
                self.kubectl("delete", name, "--wait=false")


def running_cluster() -> RunningCluster:
    """Return the tests' cluster, started if need be; skip where none can run, and fail in CI."""
    shape = shape_of_tests()
    places = own_places(request_from("test", [], os.environ))
    found = running(shape, places)
    if found is None:
        problems = obstacles(layout_of(shape, places))
        if problems:
            give_up(problems[0])
        found = start(shape, places, os.environ, Terminal())
    return RunningCluster(found.kubeconfig, found.registry, found.kubectl, found.api_port)


def give_up(problem: Problem) -> None:
    """Skip what takes a cluster, with the reason; in CI nothing may be skipped."""
    message = f"no cluster can run here: {problem.cause}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
