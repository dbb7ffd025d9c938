"""What a resource's type says about the object: its kind, and which changes of it need another object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offline.kubernetes.scope import is_built_in
from offline.plugin.values import Value

PATCH = "Patch"
IDENTITY = ("metadata.name", "metadata.namespace")
# A volume's source cannot change, whichever it is.
VOLUME_SOURCES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker",
    "gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local", "nfs", "photonPersistentDisk", "portworxVolume",
    "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip
# What a running pod can change in place is left out: the images of its containers are not, as the official one has it.
POD = (
    "affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases",
    "hostIPC", "hostNetwork", "hostPID", "hostname", "imagePullSecrets", "nodeName", "nodeSelector", "overhead",
    "preemptionPolicy", "priority", "priorityClassName", "readinessGates", "restartPolicy", "runtimeClassName",
    "schedulerName", "securityContext", "serviceAccount", "serviceAccountName", "shareProcessNamespace", "subdomain",
    "terminationGracePeriodSeconds", "volumes",
)  # fmt: skip
CONTAINER = (
    "args", "command", "env", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "ports", "readinessProbe",
    "resources", "securityContext", "stdin", "stdinOnce", "terminationMessagePath", "terminationMessagePolicy", "tty",
    "volumeDevices", "volumeMounts", "workingDir",
)  # fmt: skip
STATEFUL_SET = (
    "spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector", "spec.serviceName",
    "spec.volumeClaimTemplates",
)  # fmt: skip
JOB = ("spec.completions", "spec.parallelism", "spec.selector", "spec.template")
# By apiVersion and kind. A step `*` stands for every element of a list.
REPLACING: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps/v1", "DaemonSet"): ("spec.selector",),
    ("apps/v1", "Deployment"): ("spec.selector",),
    ("apps/v1", "StatefulSet"): STATEFUL_SET,
    ("batch/v1", "Job"): JOB,
    ("policy/v1beta1", "PodDisruptionBudget"): ("spec",),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io/v1", "StorageClass"): ("parameters", "provisioner"),
    ("v1", "PersistentVolume"): tuple(f"spec.{source}" for source in VOLUME_SOURCES),
    ("v1", "PersistentVolumeClaim"): (
        "spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName",
    ),
    ("v1", "Pod"): (
        *(f"spec.{field}" for field in POD),
        *(f"spec.{group}.*.{field}" for group in ("containers", "initContainers") for field in CONTAINER),
    ),
    ("v1", "ResourceQuota"): ("spec.scopes",),
    ("v1", "Secret"): ("type",),
    ("v1", "Service"): ("spec.clusterIP",),
}  # fmt: skip


def named(token: str) -> dict[str, Value]:
    """Return the `apiVersion` and `kind` of a resource's type, such as `kubernetes:apps/v1:Deployment`."""
    _, module, kind = token.split(":")
    api_version = module.removeprefix("core/")
    if is_patch(token):
        kind = kind.removesuffix(PATCH)
    return {"apiVersion": api_version, "kind": kind}


def is_patch(token: str) -> bool:
    """Say whether a type changes fields of an object that others own; custom kinds may be called so and are not."""
    _, module, kind = token.split(":")
    return kind.endswith(PATCH) and is_built_in(module.removeprefix("core/"))


def is_list(token: str) -> bool:
    """Say whether a type stands for many objects."""
    _, module, kind = token.split(":")
    return kind.endswith("List") and is_built_in(module.removeprefix("core/"))


def is_secret(thing: Mapping[str, Any]) -> bool:
    """Say whether an object is a Secret."""
    return thing.get("kind") == "Secret" and thing.get("apiVersion") in ("v1", "core/v1")


def replacing(thing: Mapping[str, Any], *, mutable_config_maps: bool, mutable_secrets: bool) -> tuple[str, ...]:
    """Return the paths whose change needs another object; what a thing is follows from its apiVersion and kind."""
    api_version, kind = str(thing.get("apiVersion", "")).removeprefix("core/"), str(thing.get("kind", ""))
    immutable = thing.get("immutable") is True
    if is_secret(thing) and (immutable or not mutable_secrets):
        return (*IDENTITY, "type", "stringData", "data")
    if api_version == "v1" and kind == "ConfigMap" and (immutable or not mutable_config_maps):
        return (*IDENTITY, "binaryData", "data")
    return (*IDENTITY, *REPLACING.get((api_version, kind), ()))
