"""What every object of a stack shares: the provider, the namespace, its labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.model import System
from infra.platforms.kubernetes import cluster, ready, resource
from infra.platforms.kubernetes.ready import Ready
from infra.platforms.kubernetes.resource import VERSION, Object
from infra.settings import Settings
from kubeapi.client import Client

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY = "app.kubernetes.io/managed-by"
RELEASE = "app.kubernetes.io/version"
LONGEST_NAMESPACE = 63


@dataclass(frozen=True)
class Stack:
    """A stack in its namespace of one cluster."""

    project: str
    name: str
    namespace: str
    provider: pulumi.ProviderResource
    client: Client

    def labels(self, service: str, release: str | None = None) -> dict[str, str]:
        """Return the labels by which an object is found again."""
        own = {NAME: service, INSTANCE: self.name, PART_OF: self.project, MANAGED_BY: "pulumi"}
        return own | ({RELEASE: release} if release else {})

    def declare(
        self,
        name: str,
        api_version: str,
        kind: str,
        manifest: Mapping[str, Any],
        *,
        service: str,
        object_name: str = "",
        release: str | None = None,
        annotations: Mapping[str, str] | None = None,
        options: pulumi.ResourceOptions | None = None,
        first: Ready | None = None,
    ) -> Object:
        """Declare an object of the namespace; without a name of its own the provider makes one up."""
        metadata: dict[str, Any] = {
            "namespace": self.namespace,
            "labels": self.labels(service, release),
            "annotations": {**resource.annotations_of(kind), **(annotations or {})},
        }
        if object_name:
            metadata["name"] = object_name
        own = pulumi.ResourceOptions(
            provider=self.provider,
            version=VERSION,
            depends_on=list(first.resources) if first else [],
            # A name that is given cannot be borne twice; one that is made up can wait for its successor.
            delete_before_replace=bool(object_name),
        )
        return Object(
            name, api_version, kind, {"metadata": metadata, **manifest}, pulumi.ResourceOptions.merge(own, options)
        )


def made_anew(identities: Sequence[pulumi.Input[str]]) -> pulumi.ResourceOptions:
    """Return the options of an object that is replaced when one of these identities changes."""
    return pulumi.ResourceOptions(replacement_trigger=pulumi.Output.all(*identities) if identities else None)


def namespace_of(project: str, stack: str) -> str:
    """Return the stack's namespace; raise RunError for names of which no namespace can be made."""
    name = f"{project}-{stack}"
    if len(name) > LONGEST_NAMESPACE or not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        raise pulumi.RunError(
            f"stack: got {stack!r}, wanted a name that makes {name!r} a namespace of Kubernetes: a-z, 0-9 and -, "
            f"{LONGEST_NAMESPACE} characters at the most. Rename it: pulumi stack rename NAME"
        )
    return name


def create(system: System, settings: Settings) -> tuple[Stack, Ready]:
    """Declare provider and namespace; the result is the stack, and what everything in it waits for."""
    client = cluster.connect(settings)
    namespace = namespace_of(system.project, system.stack)
    identity = cluster.identity(client)
    refuse_foreign(namespace, cluster.labels_of_namespace(client, namespace), system)
    given = {
        "kubeconfig": settings.kubernetes.kubeconfig,
        "context": settings.kubernetes.context,
        # The cluster may get another address; another cluster is another provider, and protected data stops that.
        "clusterIdentifier": identity,
        "namespace": namespace,
        # Only what carries this stack's labels is in this namespace: a killed run's leftovers are taken up.
        "upsertExistingObjects": "true",
    }
    provider = pulumi.ProviderResource(
        "kubernetes",
        "kubernetes",
        {key: value for key, value in given.items() if value},
        pulumi.ResourceOptions(version=VERSION),
    )
    stack = Stack(system.project, system.stack, namespace, provider, client)
    kept = settings.protect_data and any(volume.data for volume in system.volumes)
    kind = "Namespace"
    metadata = {"name": namespace, "labels": namespace_labels(stack), "annotations": resource.annotations_of(kind)}
    made = Object(
        "namespace",
        "v1",
        kind,
        {"metadata": metadata},
        # The claim lives in it: a destroyed stack leaves its data, and so the namespace.
        pulumi.ResourceOptions(provider=provider, version=VERSION, retain_on_delete=kept),
    )
    return stack, ready.made(made)


def namespace_labels(stack: Stack) -> dict[str, str]:
    """Return the namespace's labels: whose it is, and that the cluster refuses every pod that is not restricted."""
    level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("audit", "enforce", "warn")}
    return {**stack.labels(stack.namespace), **level}


def refuse_foreign(namespace: str, labels: Mapping[str, str] | None, system: System) -> None:
    """Raise RunError for a namespace that is there and somebody else's."""
    if labels is None or (labels.get(INSTANCE), labels.get(PART_OF)) == (system.stack, system.project):
        return
    raise pulumi.RunError(
        f"the namespace {namespace} exists and is not this stack's: it lacks the labels {INSTANCE}={system.stack} and "
        f"{PART_OF}={system.project}. Rename the stack (pulumi stack rename NAME), or, if nothing else lives there, "
        f"give it away: kubectl label namespace {namespace} {INSTANCE}={system.stack} {PART_OF}={system.project}"
    )
