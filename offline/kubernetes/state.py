"""The state the engine keeps of an object: the object as it was last seen, and what it was made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from offline.kubernetes import fields, ownership
from offline.kubernetes.annotations import MANAGER, annotation
from offline.kubernetes.secrecy import marked
from offline.kubernetes.shape import pruned
from offline.kubernetes.spelling import underscored
from offline.plugin.values import Properties, Secret, Value, contains_unknown, reveal_properties

INPUTS = "__inputs"
INITIAL_API_VERSION = "__initialApiVersion"
FIELD_MANAGER = "__fieldManager"
MANAGERS = "managedFields"
# Written by controllers and by kubectl, on every object they touch.
NOT_IMPORTED = ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration")


def state_of(
    live: Mapping[str, Any], inputs: Properties, manager: str, initial_api_version: str,
    written: Properties | None = None,
) -> Properties:  # fmt: skip
    """Return the state of an object, without who manages its fields.

    What is secret in its inputs is secret in it, or in what was written where that is not what it was made of.
    """
    secrets = underscored(inputs if written is None else written)
    return {
        **marked(underscored(_without_managers(live)), secrets),
        INPUTS: marked(underscored(reveal_properties(inputs)), secrets),
        INITIAL_API_VERSION: initial_api_version,
        FIELD_MANAGER: manager,
    }


def inputs_of(state: Mapping[str, Value]) -> Properties:
    """Return the inputs a state was made of."""
    found = state.get(INPUTS)
    if isinstance(found, Secret):
        found = found.value
    return dict(found) if isinstance(found, dict) else {}


def manager_of(state: Mapping[str, Value], inputs: Mapping[str, Value] | None = None) -> str:
    """Return who applies an object: whom its inputs name, else whom its state knows; empty for nobody yet."""
    return annotation(reveal_properties(inputs or {}), MANAGER) or _text(state, FIELD_MANAGER)


def initial_api_version_of(state: Mapping[str, Value]) -> str:
    """Return the apiVersion an object was made with; empty where a state knows none."""
    return _text(state, INITIAL_API_VERSION)


def new_manager() -> str:
    """Return a name for who applies a new object."""
    return f"{ownership.CREATOR}-{os.urandom(4).hex()}"


def applied_by(live: Mapping[str, Any]) -> str:
    """Return who of ours already applies an object that is imported; empty for nobody."""
    entries = (live.get("metadata") or {}).get("managedFields") or []
    names = (str(entry.get("manager", "")) for entry in entries if entry.get("operation") == "Apply")
    return next((name for name in names if name.startswith(f"{ownership.CREATOR}-")), "")


def inputs_after_refresh(old_inputs: Properties, live: Mapping[str, Any]) -> Properties:
    """Return the inputs as the object now has them: fields the program never wrote stay out."""
    plain = reveal_properties(old_inputs)
    shape = fields.without_read_only(plain) if contains_unknown(plain) else fields.normalized(plain)
    return marked(pruned(live, shape), old_inputs)


def imported_inputs(live: Mapping[str, Any]) -> Properties:
    """Return the inputs of an object that no program made: all a program could have written, defaults too."""
    metadata = dict(live.get("metadata") or {})
    whole = fields.inputs_of_kind(live)
    if whole is None:
        metadata = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
        return marked({"apiVersion": live.get("apiVersion"), "kind": live.get("kind"), "metadata": metadata}, {})
    for key in ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"):
        metadata.pop(key, None)
    if isinstance(metadata.get("annotations"), dict):
        kept = metadata["annotations"].items()
        metadata["annotations"] = {key: value for key, value in kept if key not in NOT_IMPORTED}
    return marked({**{key: value for key, value in live.items() if key in whole}, "metadata": metadata}, {})


def _without_managers(live: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object without who manages its fields.

    That is a quarter of its values, and of the work that the engine has with each in every update; whoever has to know
    it asks the cluster, where it may be another one by then.
    """
    metadata = live.get("metadata")
    if not isinstance(metadata, dict):
        return live
    return {**live, "metadata": {key: value for key, value in metadata.items() if key != MANAGERS}}


def _text(state: Mapping[str, Value], key: str) -> str:
    found = state.get(key)
    return found if isinstance(found, str) else ""
