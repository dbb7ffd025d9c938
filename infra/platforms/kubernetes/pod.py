"""Pods, all with the same hardening: what a service's and a job's have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.model import Job, Limits, Service, Workload
from infra.platforms.kubernetes import files, flag, volume
from infra.platforms.kubernetes.files import Held
from infra.platforms.kubernetes.resource import Manifest
from infra.platforms.kubernetes.stack import NAME
from infra.platforms.kubernetes.volume import Place

TMP = "tmp"
OF_LIMIT = 10
"""A pod is promised a tenth of the processors that it may use at most: most of the time it uses less."""
OF_OTHERS = 8
"""What gives way is promised an eighth of what others are."""
LOGS_MIB = 64
"""What a node keeps of a container's log, a little more than by default."""
LEFT_TO_THE_NODE = frozenset({"open_files", "processes"})
"""Limits for which a pod has no field: a node's kubelet limits processes (podPidsLimit), its runtime open files."""


@dataclass(frozen=True)
class Surroundings:
    """What a pod is put into: its image, its files, and where its volumes are."""

    image: pulumi.Input[str]
    held: Held
    places: Mapping[str, Place]


def template(
    each: Service | Job, labels: Mapping[str, str], around: Surroundings, container: Manifest, pod: Manifest
) -> Manifest:
    """Return the template of a workload's pods; `container` and `pod` are what is different in this one."""
    workload = each.workload
    volumes, mounted = volume.of_pod(each, around.places)
    file_volumes, file_mounts = files.of_pod(around.held)
    flag_volumes, flag_mounts = flag.of_pod(each)
    tmp = {"name": TMP, "emptyDir": {"medium": "Memory", "sizeLimit": f"{workload.limits.tmp}Mi"}}
    near = {"affinity": beside(each.beside)} if each.beside else {}
    spec: Manifest = {
        "serviceAccountName": each.identity,
        "automountServiceAccountToken": isinstance(each, Service) and each.controls is not None,
        "enableServiceLinks": False,
        "securityContext": pod_security(workload),
        "containers": [
            {
                "name": each.name,
                "image": around.image,
                # By digest: what is on the node is what was asked for.
                "imagePullPolicy": "IfNotPresent",
                "env": environment(each, around.image),
                "resources": resources(workload.limits, scratch=any("emptyDir" in each for each in volumes)),
                "securityContext": container_security(),
                "volumeMounts": [*mounted, *flag_mounts, *file_mounts, {"name": TMP, "mountPath": "/tmp"}],  # noqa: S108
                **({"args": list(workload.command)} if workload.command else {}),
                **container,
            }
        ],
        "volumes": [*volumes, *flag_volumes, *file_volumes, tmp],
        **near,
        **pod,
    }
    return {"metadata": {"labels": dict(labels)}, "spec": spec}


def beside(service: str) -> Manifest:
    """Return the demand to run on a service's node, where its volumes are."""
    near = {"labelSelector": {"matchLabels": {NAME: service}}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}}


def environment(each: Service | Job, image: pulumi.Input[str]) -> list[Manifest]:
    """Return what a workload is told; none of it is secret, by type. A job's notes come last."""
    told: dict[str, pulumi.Input[str]] = dict(sorted(each.workload.env.items()))
    if isinstance(each, Job):
        told |= dict(sorted(each.notes.items()))
        if each.digest_as:
            told[each.digest_as] = image
    return [{"name": name, "value": value} for name, value in told.items()]


def pod_security(workload: Workload) -> dict[str, Any]:
    """Return under whom a pod runs: the workload's own user, and its group, which its volumes belong to."""
    return {
        "runAsNonRoot": True,
        "runAsUser": workload.user,
        "runAsGroup": workload.group,
        "fsGroup": workload.group,
        # PostgreSQL refuses a data directory that its group may read: it is not to be opened at each start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """Return what a container may not do."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def resources(limits: Limits, *, scratch: bool) -> dict[str, Any]:
    """Return what a container is promised and what it may use at most; all of its memory is promised.

    The temporary folder is memory, so the disk is for the log, and for volumes that live with the pod.
    """
    disk = f"{LOGS_MIB + (volume.SCRATCH_MIB if scratch else 0)}Mi"
    memory = f"{limits.memory}Mi"
    return {
        "limits": {"cpu": millicores(limits.cpus), "memory": memory, "ephemeral-storage": disk},
        "requests": {
            "cpu": millicores(limits.cpus, OF_LIMIT * (OF_OTHERS if limits.gives_way else 1)),
            "memory": memory,
            "ephemeral-storage": disk,
        },
    }


def millicores(processors: str, of: int = 1) -> str:
    """Return a number of processors, or a part of it, in the spelling that the cluster gives back."""
    thousandths = round(float(processors) * 1000 / of)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
