"""`make cluster-up`: a Kubernetes cluster of one node on this machine, for stacks whose platform is kubernetes."""

from __future__ import annotations

from cluster.start import start
from operate import clusters
from operate.request import Request
from setup.prepare import provide_packages


def run(request: Request) -> int:
    """Start what does not run of the cluster, this user's or with `tests` the tests', and say how to reach it."""
    meant = clusters.meant(request)
    provide_packages(meant.places, request.environment, meant.requirements, request.terminal)
    found = start(meant.shape, meant.places, request.environment, request.terminal)
    say = request.terminal.say
    say()
    say(f"  kubeconfig  {found.kubeconfig}")
    say(f"  kubectl     {found.kubectl} --kubeconfig {found.kubeconfig}")
    say(f"  registry    {found.registry}")
    say()
    ends = " ".join(["make cluster-down", *(f"ARGS={word}" for word in request.arguments)])
    say(f"Next: {meant.use}, {ends} (stops it, keeps the data)")
    return 0
