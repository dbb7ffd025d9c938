"""Checks a program's inputs: drops what no field takes, makes a name, fills in the namespace. It refuses little."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from offline.kubernetes import fields, kinds
from offline.kubernetes.annotations import AUTONAMED, annotation
from offline.kubernetes.metadata import metadatum, text
from offline.kubernetes.secrecy import marked
from offline.kubernetes.suffix import suffix
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Value, contains_unknown, is_unknown, reveal_properties

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_VARIABLE = "PULUMI_KUBERNETES_MANAGED_BY_LABEL"
PROPOSE, ENFORCE, DISABLE = range(3)
MANY = (
    "list resources exist for compatibility with YAML manifests and Helm charts, and cannot be created directly. Use "
    "the underlying resource type instead"
)
UNNAMED = "autonaming is disabled, resource requires the .metadata.name field to be set"
UNNAMED_PATCH = "patch resources require the `.metadata.name` field to be set"
GENERATED = "the `.metadata.generateName` field is not supported in Server-Side Apply mode"


@dataclass(frozen=True)
class Autonaming:
    """What the engine says about automatic names: a proposed one, and one of the modes above."""

    proposed: str
    mode: int


@dataclass(frozen=True)
class Checked:
    """The inputs to work with, pairs of a property and what is wrong with it, and warnings."""

    inputs: Properties
    failures: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check(
    token: str, logical_name: str, olds: Mapping[str, Value], news: Properties, seed: bytes, *, namespaced: bool,
    default_namespace: str, autonaming: Autonaming | None = None,
) -> Checked:  # fmt: skip
    """Check the inputs of one object; raise PluginError for what cannot be an object at all."""
    if kinds.is_list(token):
        raise PluginError(MANY)
    thing: dict[str, Any] = reveal_properties(news)
    thing = fields.without_read_only(thing) if contains_unknown(thing) else fields.normalized(thing)
    if kinds.is_patch(token) and not text(thing, "name"):
        raise PluginError(UNNAMED_PATCH)
    warnings = [
        f'ignoring user-specified value for internal annotation "{name}"'
        for name in _annotations(thing)
        if name.startswith(AUTONAMED)
    ]
    old: dict[str, Any] = reveal_properties(olds)
    if not _is_named(thing):
        if olds:
            _keep_old_name(thing, old)
        elif not _is_generated(thing):
            _set_name(thing, _new_name(logical_name, seed, autonaming))
    if _is_labelled(old):
        _set_label(thing)
    if not _is_named(thing) and _is_generated(thing):
        raise PluginError(GENERATED)
    if namespaced and default_namespace and not text(thing, "namespace"):
        _set_metadata(thing, "namespace", default_namespace)
    return Checked(marked(thing, news), warnings=warnings)


def _new_name(logical_name: str, seed: bytes, autonaming: Autonaming | None) -> str:
    if autonaming is None:
        return f"{logical_name}-{suffix(seed)}"
    if autonaming.mode == DISABLE:
        raise PluginError(UNNAMED)
    return autonaming.proposed


def _keep_old_name(thing: dict[str, Any], old: Mapping[str, Any]) -> None:
    if annotation(old, AUTONAMED) == "true":
        _set_name(thing, text(old, "name"))


def _set_name(thing: dict[str, Any], name: str) -> None:
    if _set_metadata(thing, "name", name):
        metadata = thing["metadata"]
        known = metadata.get("annotations")
        if not is_unknown(known):
            metadata["annotations"] = {**(known or {}), AUTONAMED: "true"}


def _set_metadata(thing: dict[str, Any], key: str, value: Value) -> bool:
    """Write a metadatum, unless all of them are unknown; say whether it was written."""
    metadata = thing.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return False
    thing["metadata"] = {**(metadata or {}), key: value}
    return True


def _is_labelled(old: Mapping[str, Any]) -> bool:
    """Say whether old inputs name Pulumi as what manages the object, or may do so."""
    labels = metadatum(old, "labels")
    found = labels.get(MANAGED_BY) if isinstance(labels, dict) else labels
    return is_unknown(found) or found == os.environ.get(MANAGED_BY_VARIABLE, "pulumi")


def _set_label(thing: dict[str, Any]) -> None:
    """Keep the label that names Pulumi: a program that leaves it out does not take it away."""
    labels = metadatum(thing, "labels")
    if labels is None or isinstance(labels, dict):
        label = os.environ.get(MANAGED_BY_VARIABLE, "pulumi")
        _set_metadata(thing, "labels", {**(labels or {}), MANAGED_BY: label})


def _is_named(thing: Mapping[str, Any]) -> bool:
    return bool(text(thing, "name")) or is_unknown(metadatum(thing, "name"))


def _is_generated(thing: Mapping[str, Any]) -> bool:
    return bool(text(thing, "generateName")) or is_unknown(metadatum(thing, "generateName"))


def _annotations(thing: Mapping[str, Any]) -> list[str]:
    found = metadatum(thing, "annotations")
    return list(found) if isinstance(found, dict) else []
