"""`make cluster-up`: a Kubernetes cluster of one node on this machine, for stacks whose platform is kubernetes."""

from __future__ import annotations

from cluster.shape import shape_of
from cluster.start import start
from operate.request import Request
from setup.facts import requirements_for
from setup.prepare import provide_packages


def run(request: Request) -> int:
    """Start what does not run of the cluster, and say how to reach it."""
    provide_packages(
        request.places, request.environment, requirements_for("kubernetes", request.places), request.terminal
    )
    shape = shape_of(request.environment)
    found = start(shape, request.places, request.environment, request.terminal)
    say = request.terminal.say
    say()
    say(f"  kubeconfig  {found.kubeconfig}")
    say(f"  kubectl     {found.kubectl} --kubeconfig {found.kubeconfig}")
    say(f"  registry    {found.registry}")
    say()
    say("Next: make up STACK=k8s, make cluster-down (stops it, keeps the data)")
    return 0
