"""Property paths, as `ignoreChanges` writes them: `spec.replicas`, `metadata.labels["a.b/c"]`, `items[0].name`.

A step `*`, also written `[*]`, stands for every one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

PART = re.compile(r'\.?([^.\[\]"]+)|\[(\d+)\]|\[(\*)\]|\["((?:[^"\\]|\\.)*)"\]')


def parse(text: str) -> list[str | int]:
    """Return a path's names and indexes; raise ValueError for what is none."""
    found: list[str | int] = []
    position = 0
    while position < len(text):
        match = PART.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is no property path, from {text[position:]!r} on")
        name, index, every, quoted = match.groups()
        found.append(int(index) if index is not None else name or every or (quoted or "").replace('\\"', '"'))
        position = match.end()
    return found


def written(steps: Sequence[str | int]) -> str:
    """Return a path's text, the inverse of `parse`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif any(character in step for character in '."[]'):
            quoted = step.replace('"', '\\"')
            text += f'["{quoted}"]'
        else:
            text += f".{step}" if text else step
    return text


def without(value: Any, path: Sequence[str | int]) -> Any:
    """Return a value without what a path leads to; the value itself where it leads nowhere."""
    if not path:
        return value
    first, *rest = path
    if isinstance(value, dict) and isinstance(first, str) and first in value:
        if rest:
            return {**value, first: without(value[first], rest)}
        return {key: item for key, item in value.items() if key != first}
    if isinstance(value, list) and isinstance(first, int) and first < len(value) and rest:
        return [without(item, rest) if index == first else item for index, item in enumerate(value)]
    return value


def replaced(value: Any, names: Sequence[str], other: Any) -> Any:
    """Return a mapping with what a path leads to taken from another one; as it is where that one has nothing there."""
    first, *rest = names
    if not isinstance(value, dict) or not isinstance(other, dict) or first not in other:
        return value
    if not rest:
        return {**value, first: other[first]}
    return {**value, first: replaced(value.get(first, {}), rest, other[first])}
