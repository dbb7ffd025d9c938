"""Reads property values as plain Python ones, null and the wrong type being the zero value."""

from __future__ import annotations

from collections.abc import Mapping

from offline.docker.plan import elements, spelled
from offline.plugin.values import Properties, Value


def text_of(properties: Mapping[str, Value], name: str) -> str:
    """Return a text, or the empty one."""
    value = properties.get(name)
    return value if isinstance(value, str) else ""


def number_of(properties: Mapping[str, Value], name: str) -> int:
    """Return a whole number, or 0."""
    value = properties.get(name)
    return int(value) if isinstance(value, int | float) else 0


def flag_of(properties: Mapping[str, Value], name: str) -> bool:
    """Return a flag, or False."""
    return properties.get(name) is True


def texts_of(properties: Mapping[str, Value], name: str) -> list[str]:
    """Return a list of texts, or the empty one; a null in it is the empty text."""
    value = properties.get(name)
    return [spelled(item) for item in value] if isinstance(value, list) else []


def mapping_of(properties: Mapping[str, Value], name: str) -> dict[str, str]:
    """Return a map of texts, or the empty one."""
    value = properties.get(name)
    return {key: spelled(item) for key, item in value.items()} if isinstance(value, dict) else {}


def blocks_of(properties: Mapping[str, Value], name: str) -> list[Properties]:
    """Return the objects of a block property, or none."""
    return elements(properties.get(name))


def labels_of(properties: Mapping[str, Value], name: str = "labels") -> dict[str, str]:
    """Return label blocks as a map."""
    return {text_of(pair, "label"): text_of(pair, "value") for pair in blocks_of(properties, name)}
