"""The order in which jobs and services are declared: each after what it names."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from infra.model import Job, Service, System


def once_serving(system: System) -> list[Job]:
    """Return the jobs that run when the release serves."""
    return [job for job in system.jobs if job.once_serving]


def of(system: System) -> list[Service | Job]:
    """Return the others so that each follows what it names; raise ValueError for a cycle or an unknown name."""
    last = once_serving(system)
    every = {each.name: each for each in system.declared if each not in last}
    for each in every.values():
        for name in each.after:
            if name not in every:
                raise ValueError(f"{each.name} comes after {name}, which does not exist")
    try:
        return [every[name] for name in TopologicalSorter({n: e.after for n, e in every.items()}).static_order()]
    except CycleError as cycle:
        raise ValueError(f"services and jobs wait for each other: {' after '.join(cycle.args[1])}") from None
