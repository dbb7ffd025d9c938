"""Volumes: data on a claim of its own, what is shared beside it on the same claim, and the rest with its pod."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pulumi

from infra.model import Job, Mount, Service, System, Volume
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import Manifest, Object
from infra.platforms.kubernetes.stack import Stack
from infra.settings import Settings

SCRATCH_MIB = 64
"""How much a volume may hold that lives and dies with its pod."""


@dataclass(frozen=True)
class Place:
    """Where a volume is: a folder of a claim, or, without one, a scratch folder of each pod that mounts it."""

    volume: str
    claim: str = ""
    shared: bool = False
    """Whether several workloads mount the claim, this part of it or another."""


def plan(system: System) -> dict[str, Place]:
    """Decide where each volume is; raise ValueError for one that several would share and no claim can hold."""
    places = {volume.name: place(system, volume) for volume in system.volumes}
    users = Counter(place.claim for each in system.declared for place in claimed_by(each, places))
    return {name: replace(each, shared=users[each.claim] > 1) for name, each in places.items()}


def claimed_by(each: Service | Job, places: Mapping[str, Place]) -> list[Place]:
    """Return a place on each claim that a workload mounts."""
    found = (places[mount.volume] for mount in each.workload.mounts)
    return list({place.claim: place for place in found if place.claim}.values())


def place(system: System, volume: Volume) -> Place:
    """Decide where one volume is."""
    if volume.data:
        return Place(volume.name, volume.name)
    if volume.beside:
        return Place(volume.name, volume.beside)
    users = list(mounting(system, volume.name))
    if len(users) == 1:
        return Place(volume.name)
    hosts = {each.beside if isinstance(each, Job) and each.beside else each.name for each in users}
    if len(hosts) > 1:
        raise ValueError(
            f"volume {volume.name} is mounted by {', '.join(each.name for each in users)}, which do not run beside one "
            "service: on Kubernetes they would not see the same files. Let the jobs be `beside` the service"
        )
    claims = [each for each in system.volumes if each.data and mounts(system.service(next(iter(hosts))), each.name)]
    if not claims:
        raise ValueError(
            f"volume {volume.name} is shared by {', '.join(each.name for each in users)}, and {next(iter(hosts))} has "
            "no volume with data whose claim could hold it. Mark one of its volumes as data"
        )
    return Place(volume.name, claims[0].name)


def mounting(system: System, volume: str) -> Iterator[Service | Job]:
    """Yield what mounts a volume."""
    for each in system.declared:
        if mounts(each, volume):
            yield each


def mounts(each: Service | Job, volume: str) -> bool:
    """Whether something mounts a volume."""
    return any(mount.volume == volume for mount in each.workload.mounts)


def create(stack: Stack, system: System, settings: Settings, first: Ready) -> dict[str, Object]:
    """Declare the claims; they are protected, and stay in the cluster even when they are let go."""
    return {
        volume.name: stack.declare(
            f"claim-{volume.name}",
            "v1",
            "PersistentVolumeClaim",
            {"spec": claim(volume, settings)},
            service=volume.name,
            object_name=volume.name,
            options=pulumi.ResourceOptions(protect=settings.protect_data, retain_on_delete=settings.protect_data),
            first=first,
        )
        for volume in system.volumes
        if volume.data
    }


def claim(volume: Volume, settings: Settings) -> Manifest:
    """Return what is claimed."""
    own = settings.kubernetes
    wanted: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{volume.storage or own.database_storage}Gi"}},
    }
    return wanted | ({"storageClassName": own.storage_class} if own.storage_class else {})


def of_pod(each: Service | Job, places: Mapping[str, Place]) -> tuple[list[Manifest], list[Manifest]]:
    """Return a pod's volumes, and the mounts of its container."""
    volumes: dict[str, Manifest] = {}
    mounted = []
    for mount in each.workload.mounts:
        where = places[mount.volume]
        name = where.claim or where.volume
        if where.claim:
            volumes[name] = {"name": name, "persistentVolumeClaim": {"claimName": where.claim}}
            mounted.append({"name": name, "mountPath": mount.path, "subPath": where.volume, **read_only(mount)})
        else:
            volumes[name] = {"name": name, "emptyDir": {"sizeLimit": f"{SCRATCH_MIB}Mi"}}
            mounted.append({"name": name, "mountPath": mount.path, **read_only(mount)})
    return list(volumes.values()), mounted


def read_only(mount: Mount) -> Manifest:
    """Return what a mount says that nothing is written to."""
    return {"readOnly": True} if mount.read_only else {}
