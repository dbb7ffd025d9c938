"""An object's metadata, any part of which may be unknown yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def metadatum(thing: Mapping[str, Any], key: str) -> Any:
    """Return a metadatum, None where there is none, or where all of them are unknown."""
    found = thing.get("metadata")
    return found.get(key) if isinstance(found, Mapping) else None


def text(thing: Mapping[str, Any], key: str) -> str:
    """Return a metadatum that is a text, empty where there is none."""
    found = metadatum(thing, key)
    return found if isinstance(found, str) else ""
