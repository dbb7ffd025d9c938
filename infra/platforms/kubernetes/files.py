"""Files as immutable Secrets and ConfigMaps with made-up names: a changed one is another, and so a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from infra.model import FILES, File
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Manifest
from infra.platforms.kubernetes.stack import Stack

VOLUME = "files"
# The owner is root, whatever one says; the pod's own group reads, and nobody else.
MODE = 0o440


@dataclass(frozen=True)
class Held:
    """What holds a workload's files: a kind of source in a projected volume, and the object's name."""

    sources: tuple[tuple[str, pulumi.Output[str]], ...] = ()


def create(stack: Stack, name: str, files: Sequence[File], first: Ready) -> Held:
    """Declare what holds a workload's files, the secret ones apart."""
    made = []
    for source, kind, entry, chosen in (
        ("secret", "Secret", "stringData", [file for file in files if file.secret]),
        ("configMap", "ConfigMap", "data", [file for file in files if not file.secret]),
    ):
        if chosen:
            manifest = {"immutable": True, entry: {file.name: file.content for file in chosen}}
            # Written out: a type that the cluster fills in would differ from none.
            manifest |= {"type": "Opaque"} if kind == "Secret" else {}
            held = stack.declare(f"{name}-{source.lower()}", "v1", kind, manifest, service=name, first=first)
            made.append((source, held.object_name))
    return Held(tuple(made))


def of_pod(held: Held) -> tuple[list[Manifest], list[Manifest]]:
    """Return a pod's volume with the files, and the mount of its container."""
    if not held.sources:
        return [], []
    sources = [{source: {"name": name}} for source, name in held.sources]
    volume = {"name": VOLUME, "projected": {"defaultMode": MODE, "sources": sources}}
    return [volume], [{"name": VOLUME, "mountPath": str(FILES), "readOnly": True}]
