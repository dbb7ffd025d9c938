"""A cluster that runs: how to reach it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster import process
from cluster.commands import NAMES
from cluster.layout import Layout, layout_of
from cluster.shape import NODE_PORTS, Shape
from setup.places import Places


@dataclass(frozen=True)
class Running:
    """How to reach a cluster: as its administrator, its registry, and kubectl in its version."""

    name: str
    kubeconfig: Path
    registry: str
    kubectl: Path
    api_port: int
    node_ports: range = NODE_PORTS


def running(shape: Shape, places: Places) -> Running | None:
    """Return how to reach the cluster, or None when any part of it does not run; nothing is started or changed."""
    layout = layout_of(shape, places)
    if not layout.kubeconfig.exists() or not all(process.alive(layout.records, name) for name in NAMES):
        return None
    return reached(layout)


def reached(layout: Layout) -> Running:
    """Return how to reach the cluster of these folders."""
    shape = layout.shape
    return Running(shape.name, layout.kubeconfig, shape.registry, layout.built("kubectl"), shape.api_port)
