"""The annotations by which a program says how one object is treated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offline.kubernetes.metadata import metadatum

AUTONAMED = "pulumi.com/autonamed"
REPLACE_UNREADY = "pulumi.com/replaceUnready"
SKIP_AWAIT = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
TIMEOUT = "pulumi.com/timeoutSeconds"
FORCE = "pulumi.com/patchForce"
MANAGER = "pulumi.com/patchFieldManager"
PROPAGATION = "pulumi.com/deletionPropagationPolicy"
PROPAGATIONS = {"foreground": "Foreground", "background": "Background", "orphan": "Orphan"}
DEFAULT_SECONDS = 600.0


def annotation(thing: Mapping[str, Any], name: str) -> str:
    """Return an annotation of an object, or an empty text."""
    annotations = metadatum(thing, "annotations")
    found = annotations.get(name) if isinstance(annotations, Mapping) else None
    return found if isinstance(found, str) else ""


def is_set(thing: Mapping[str, Any], name: str) -> bool:
    """Say whether an annotation is `true`."""
    return annotation(thing, name) == "true"


def seconds(thing: Mapping[str, Any], asked: float) -> float:
    """Return how long a call on an object may take: what was asked for, else its annotation, else ten minutes."""
    if asked > 0:
        return asked
    written = annotation(thing, TIMEOUT)
    try:
        return float(written) if written and float(written) > 0 else DEFAULT_SECONDS
    except ValueError:
        return DEFAULT_SECONDS


def propagation(thing: Mapping[str, Any]) -> str:
    """Return what becomes of an object's dependents on its deletion."""
    return PROPAGATIONS.get(annotation(thing, PROPAGATION).lower(), "Foreground")
