"""The order in which jobs and services are declared: each after what it names."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from infra.model import Job, Service, System


def of(system: System) -> list[Service | Job]:
    """Return services and jobs so that each follows what it names; raise ValueError for a cycle or an unknown name."""
    every = {each.name: each for each in system.declared}
    for each in every.values():
        for name in each.after:
            if name not in every:
                raise ValueError(f"{each.name} comes after {name}, which does not exist")
    try:
        return [every[name] for name in TopologicalSorter({n: e.after for n, e in every.items()}).static_order()]
    except CycleError as cycle:
        raise ValueError(f"services and jobs wait for each other: {' after '.join(cycle.args[1])}") from None
