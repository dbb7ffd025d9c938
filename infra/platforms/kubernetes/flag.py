"""Flags: one ConfigMap for a service, mounted where it looks; a verb writes it, and no update does."""

from __future__ import annotations

from pathlib import PurePosixPath

import pulumi

from infra.model import Job, Service
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Manifest, Object
from infra.platforms.kubernetes.stack import Stack

VOLUME = "flag"
MODE = 0o444


def object_name(service: str) -> str:
    """Return the name of a service's ConfigMap."""
    return f"{service}-flag"


def create(stack: Stack, service: Service, first: Ready) -> list[Object]:
    """Declare the ConfigMap of a service that has a flag: empty, and what is written into it is nobody's drift."""
    if not service.flag:
        return []
    return [
        stack.declare(
            f"flag-{service.name}",
            "v1",
            "ConfigMap",
            {},
            service=service.name,
            object_name=object_name(service.name),
            options=pulumi.ResourceOptions(ignore_changes=["data"]),
            first=first,
        )
    ]


def of_pod(each: Service | Job) -> tuple[list[Manifest], list[Manifest]]:
    """Return a pod's volume with the flag, and the mount of its container.

    The whole folder is mounted: a single file out of a ConfigMap would never change in a running pod.
    """
    if not isinstance(each, Service) or not each.flag:
        return [], []
    volume = {"name": VOLUME, "configMap": {"name": object_name(each.name), "defaultMode": MODE}}
    folder = str(PurePosixPath(each.flag).parent)
    return [volume], [{"name": VOLUME, "mountPath": folder, "readOnly": True}]
