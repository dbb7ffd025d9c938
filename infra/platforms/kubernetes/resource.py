"""An object of the cluster as a Pulumi resource: of the official provider's types, without its SDK's classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pulumi

VERSION = "4.32.0"
"""The provider's version, named with each resource since no SDK does."""
ANNOTATIONS = {
    # The stack owns what it declares: a field that somebody took over by hand is taken back, and is no conflict.
    "pulumi.com/patchForce": "true",
    # In the place of the provider's own wait, and true at once: this program waits itself. `skipAwait` would not wait
    # for deletions either, and the next update would meet what is still going.
    "pulumi.com/waitFor": "jsonpath={.metadata.uid}",
}

LOOKED_AT = frozenset({"Ingress", "Service"})
"""Kinds that the provider looks at when it refreshes, whatever it is told to wait for; deleted they are waited for."""

Manifest = dict[str, Any]


def annotations_of(kind: str) -> dict[str, str]:
    """Return what the provider is told about each object of a kind.

    Not every cluster says where a Service or an Ingress is reached; to the provider one that does not stays unhealthy,
    and would be updated with each update.
    """
    return ANNOTATIONS | ({"pulumi.com/skipAwait": "true"} if kind in LOOKED_AT else {})


class Object(pulumi.CustomResource):
    """One object of the cluster; `metadata` is what the cluster made of it."""

    metadata: pulumi.Output[Any]

    def __init__(
        self, name: str, api_version: str, kind: str, manifest: Mapping[str, Any], options: pulumi.ResourceOptions
    ) -> None:
        group = api_version if "/" in api_version else f"core/{api_version}"
        properties = {"apiVersion": api_version, "kind": kind, **manifest}
        super().__init__(f"kubernetes:{group}:{kind}", name, properties, options)

    @property
    def object_name(self) -> pulumi.Output[str]:
        """The object's name in the cluster, which may be one that the provider made up."""
        return cast("pulumi.Output[str]", self.metadata.apply(lambda metadata: metadata["name"]))

    @property
    def uid(self) -> pulumi.Output[str]:
        """What tells the object from an earlier one of the same name."""
        return cast("pulumi.Output[str]", self.metadata.apply(lambda metadata: metadata.get("uid", "")))
