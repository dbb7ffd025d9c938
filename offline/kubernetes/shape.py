"""Objects cut down to the shape of others: what a program never wrote is not compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def pruned(source: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of an object that another one has too, at every depth; values of two types stay whole."""
    found: dict[str, Any] = {}
    for key, value in source.items():
        if key not in target:
            continue
        other = target[key]
        if isinstance(value, dict) and isinstance(other, dict):
            found[key] = pruned(value, other)
        elif isinstance(value, list) and isinstance(other, list):
            found[key] = _pruned_list(value, other)
        else:
            found[key] = value
    return found


def _pruned_list(source: Sequence[Any], target: Sequence[Any]) -> list[Any]:
    if not source or not target:
        return []
    if _is_number(source[0]) or type(source[0]) is not type(target[0]):
        return list(source)  # numbers, because the official provider holds the two kinds of them apart here
    found: list[Any] = []
    for value, other in zip(source, target, strict=False):
        if isinstance(value, dict) and isinstance(other, dict):
            found.append(pruned(value, other))
        elif isinstance(value, list) and isinstance(other, list):
            found.append(_pruned_list(value, other))
        else:
            found.append(value)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
