"""`make cluster-up`: a Kubernetes cluster of one node on this machine, for stacks whose platform is kubernetes."""

from __future__ import annotations

from cluster.shape import shape_of
from cluster.start import start
from operate.request import Request
from setup import apt, virtualenv
from setup.facts import machine_facts, packages_digest, requirements_for, stamp_of_packages
from setup.files import read_text_or_none
from setup.locks import lock

WAIT_SECONDS = 1800


def run(request: Request) -> int:
    """Start what does not run of the cluster, and say how to reach it."""
    provide_python(request)
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


def provide_python(request: Request) -> None:
    """Make the virtual environment that the cluster's keeper runs in, unless it is there."""
    places, environment = request.places, request.environment
    requirements = requirements_for("kubernetes", places)
    wanted = packages_digest(places.repository, requirements)
    if read_text_or_none(stamp_of_packages(places)) == wanted:
        return
    with (
        lock(places.locks / "prepare.lock", "preparing this machine", WAIT_SECONDS),
        request.terminal.step("packages", f"{requirements} into {places.venv.name}") as step,
    ):
        if not machine_facts(environment).ensurepip:
            apt.install(["python3-venv"], environment, step, places.logs / "venv-install.log")
        virtualenv.make(places, requirements, wanted, environment, step)
        step.outcome = f"{requirements} installed in {places.venv.name}"
