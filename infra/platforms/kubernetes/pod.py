"""Pods, all with the same hardening: what a service's and a job's have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.model import Job, Limits, Service, Workload
from infra.platforms.kubernetes import files, flag, volume
from infra.platforms.kubernetes.files import Held
from infra.platforms.kubernetes.resource import Manifest
from infra.platforms.kubernetes.volume import Place

TMP = "tmp"
MOUNTED = "mounted"
OF_LIMIT = 10
"""A pod is promised a tenth of the processors that it may use at most: most of the time it uses less."""
OF_OTHERS = 8
"""What gives way is promised an eighth of what others are."""
LOGS_MIB = 64
"""What a node keeps of a container's log, a little more than by default."""
MOST_LOGS_MIB = 1024
"""What a node may keep at most, however it is set: whoever exceeds a limit is evicted, the database too."""
LEFT_TO_THE_NODE = frozenset({"open_files", "processes"})
"""Limits for which a pod has no field: a node's kubelet limits processes (podPidsLimit), its runtime open files."""


@dataclass(frozen=True)
class Surroundings:
    """What a pod is put into: its image, for which processors that is, its files, and where its volumes are."""

    image: pulumi.Input[str]
    processors: str
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
    shared = [place.claim for place in volume.claimed_by(each, around.places) if place.shared]
    near = {"affinity": {"podAffinity": together(shared)}} if shared else {}
    spec: Manifest = {
        "nodeSelector": nodes(around.processors),
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
    return {"metadata": {"labels": {**labels, **{claiming(claim): MOUNTED for claim in shared}}}, "spec": spec}


def together(claims: Sequence[str]) -> Manifest:
    """Return the demand to run where whoever else mounts these claims does: one node at a time can.

    All of them make it, so that any may come first, and none goes elsewhere while another holds what it needs.
    """
    return {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {claiming(claim): MOUNTED}}, "topologyKey": "kubernetes.io/hostname"}
            for claim in claims
        ]
    }


def claiming(claim: str) -> str:
    """Return the label of the pods that mount a claim which others mount too."""
    return f"claim-{claim}"


def nodes(processors: str) -> dict[str, str]:
    """Return which nodes can run an image: a cluster may have several kinds."""
    system, _, architecture = processors.partition("/")
    return {"kubernetes.io/os": system, "kubernetes.io/arch": architecture}


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
    own = volume.SCRATCH_MIB if scratch else 0
    memory = f"{limits.memory}Mi"
    return {
        "limits": {"cpu": millicores(limits.cpus), "memory": memory, "ephemeral-storage": f"{MOST_LOGS_MIB + own}Mi"},
        "requests": {
            "cpu": millicores(limits.cpus, OF_LIMIT * (OF_OTHERS if limits.gives_way else 1)),
            "memory": memory,
            "ephemeral-storage": f"{LOGS_MIB + own}Mi",
        },
    }


def millicores(processors: str, of: int = 1) -> str:
    """Return a number of processors, or a part of it, in the spelling that the cluster gives back."""
    thousandths = round(float(processors) * 1000 / of)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
