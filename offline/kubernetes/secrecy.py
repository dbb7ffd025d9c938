"""Which values are secret: those that a program marked, wherever they come back, and the data of a Secret."""

from __future__ import annotations

from collections.abc import Mapping

from offline.plugin.values import Properties, Secret, Value, contains_secret


def marked(values: Properties, written: Mapping[str, Value]) -> Properties:
    """Return plain values with those marked that were secret as written.

    A secret below maps marks itself alone; one in a list marks the list, because its elements may have moved.
    """
    found = dict(values)
    if found.get("kind") == "Secret":
        for key in ("data", "stringData"):
            if key in found:
                found[key] = _secret(found[key])
        return found
    for key, source in written.items():
        if key not in found:
            continue
        value = found[key]
        if isinstance(value, dict) and isinstance(source, dict):
            found[key] = marked(value, source)
        elif contains_secret(source):
            found[key] = _secret(value)
    return found


def _secret(value: Value) -> Value:
    return value if isinstance(value, Secret) else Secret(value)
