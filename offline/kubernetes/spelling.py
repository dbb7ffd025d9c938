"""Field names with dashes, such as `x-kubernetes-int-or-string`, which Pulumi's programs write with underscores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offline.plugin.values import Properties, Secret, Value

DASHED = {
    name.replace("-", "_"): name
    for name in (
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
}
UNDERSCORED = {name: underscored for underscored, name in DASHED.items()}


def dashed(properties: Mapping[str, Value]) -> Properties:
    """Return properties under the names the server knows."""
    found: Properties = _renamed(properties, DASHED)
    return found


def underscored(properties: Mapping[str, Value]) -> Properties:
    """Return properties under the names programs know."""
    found: Properties = _renamed(properties, UNDERSCORED)
    return found


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, Secret):
        return Secret(_renamed(value.value, names))
    return value
