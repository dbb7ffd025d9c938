"""Which cluster a stack is meant for, and this project's own cluster where none is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cluster.layout import layout_of
from cluster.running import Running, running
from cluster.shape import Shape, shape_of
from operate.request import Request
from setup.kubeconfig import LOCAL, VARIABLE, Source, choose
from setup.prepare import Prepared
from setup.problem import Problem
from setup.terminal import Silent


def source_of(request: Request) -> Source:
    """Return where the way to the stack's cluster is written."""
    home = Path(request.environment.get("HOME") or Path.home())
    return choose(request.setting("kubeconfig"), request.environment, home)


def is_meant(request: Request) -> bool:
    """Return whether the stack is on this project's own cluster."""
    return source_of(request).kind == LOCAL


def shape_for(request: Request) -> Shape:
    """Return how this user's cluster is made."""
    return shape_of(request.environment)


def running_for(request: Request) -> Running | None:
    """Return this user's cluster, or None where it does not run."""
    return running(shape_for(request), request.places)


def kubeconfig_of(request: Request) -> Path:
    """Return the file that leads to this user's cluster, whether it runs or not."""
    return layout_of(shape_for(request), request.places).kubeconfig


def obstacles(request: Request) -> list[Problem]:
    """Return what stands in the way of starting this user's cluster."""
    from cluster.obstacles import obstacles as of_a_start

    return of_a_start(layout_of(shape_for(request), request.places))


def handed(request: Request, done: Prepared) -> Prepared:
    """Return what is prepared with the way to the stack's cluster in the environment of programs."""
    if not is_meant(request) or not kubeconfig_of(request).exists():
        return done
    return replace(done, environment={**done.environment, VARIABLE: str(kubeconfig_of(request))})


def ready(request: Request, done: Prepared) -> Prepared:
    """Start this user's cluster where the stack is meant for it, and return what is prepared with the way to it."""
    if not is_meant(request):
        return done
    from cluster.start import start

    # One that runs is looked over all the same, which only an update says.
    quiet = request.verb != "up" and running_for(request) is not None
    terminal = Silent() if quiet else request.terminal
    up = start(shape_for(request), request.places, done.environment, terminal)
    return replace(done, environment={**done.environment, VARIABLE: str(up.kubeconfig)})
