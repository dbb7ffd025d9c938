"""The programs that a cluster runs: the distribution's, and those that are built from Go modules."""

from __future__ import annotations

from collections.abc import Mapping

from cluster import build, packages
from cluster.layout import Layout
from setup import apt
from setup.locks import lock
from setup.places import Places
from setup.terminal import Terminal

WAIT_SECONDS = 3600.0


def provide(layout: Layout, environment: Mapping[str, str], places: Places, terminal: Terminal) -> None:
    """Fetch and build what is not in the cache; raise Problem when that fails."""
    tools = packages.missing_tools(environment)
    if tools:
        apt.get_permission(environment)
        with terminal.step("tools", f"missing: {', '.join(tools)}") as step:
            apt.install(tools, environment, step, places.logs / "cluster-install.log")
            step.outcome = f"{', '.join(tools)} installed"
    if build.missing(layout.binaries) or not packages.ready(layout.packages):
        with lock(layout.programs / "build.lock", "building the cluster's programs", WAIT_SECONDS):
            _make(layout, environment, places, terminal)
    packages.join_plugins(layout)


def _make(layout: Layout, environment: Mapping[str, str], places: Places, terminal: Terminal) -> None:
    if not packages.ready(layout.packages):
        with terminal.step("packages", "fetching the distribution's programs") as step:
            packages.provide(layout.packages, environment, step, places.logs / "cluster-packages.log")
            step.outcome = f"{', '.join(packages.PACKAGES)} unpacked"
    for module in build.missing(layout.binaries):
        with terminal.step("build", f"{module.name}, from its Go module") as step:
            build.provide(module, layout.binaries, environment, step)
            step.outcome = f"built: {', '.join(module.programs)}"
