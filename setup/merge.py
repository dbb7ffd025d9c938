"""Keeps a machine's stack values in step with the tracked file, without taking away what somebody set here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


class _Missing:
    def __repr__(self) -> str:
        return "unset"


MISSING: Final = _Missing()


@dataclass(frozen=True)
class Merged:
    """The values to use, the keys that followed the tracked file, and those kept although the tracked file changed."""

    values: Mapping[str, Any]
    followed: tuple[str, ...]
    kept: tuple[str, ...]


def merge(taken: Mapping[str, Any], mine: Mapping[str, Any], tracked: Mapping[str, Any]) -> Merged:
    """Merge by key: a value that nobody changed here since it was taken follows the tracked file; any other stays."""
    values: dict[str, Any] = {}
    followed: list[str] = []
    kept: list[str] = []
    for key in sorted({*taken, *mine, *tracked}):
        before, here, there = (source.get(key, MISSING) for source in (taken, mine, tracked))
        if here == before:
            result = there
            if there != here:
                followed.append(key)
        else:
            result = here
            if there not in (before, here):
                kept.append(key)
        if result is not MISSING:
            values[key] = result
    return Merged(values, tuple(followed), tuple(kept))
