"""The fields of Kubernetes' own kinds, and objects brought into the form in which the API server keeps them.

The table beside this file is printed by `table/`, which says how its types are written.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offline.kubernetes import quantity
from offline.kubernetes.kinds import is_secret
from offline.kubernetes.shape import pruned

TABLE = Path(__file__).with_name("fields.json")
DEFINITION = "CustomResourceDefinition"
READ_ONLY = (
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields",
    "resourceVersion", "uid",
)  # fmt: skip

Object = dict[str, Any]


class MismatchError(Exception):
    """A value is not of its field's type."""


@dataclass(frozen=True)
class Life:
    """Since which version of Kubernetes a kind exists, since which it is gone, and what takes its place."""

    introduced: str = ""
    removed: str = ""
    successor: str = ""


@functools.cache
def _table() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(TABLE.read_text())
    return found


def life(api_version: str, kind: str) -> Life:
    """Return what is known of a kind's beginning and end."""
    return Life(*_table()["lives"].get(f"{api_version}/{kind}", ()))


def inputs_of_kind(thing: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the fields a program may write at the top of an object; None for a custom kind."""
    if _is_definition(thing):
        return frozenset({"apiVersion", "kind", "metadata", "spec"})
    number = _number(thing)
    return None if number is None else frozenset(_table()["types"][number]) - {"status"}


def _is_definition(thing: Mapping[str, Any]) -> bool:
    return thing.get("kind") == DEFINITION and str(thing.get("apiVersion")).startswith("apiextensions.k8s.io/")


def _number(thing: Mapping[str, Any]) -> int | None:
    api_version = str(thing.get("apiVersion", "")).removeprefix("core/")
    found: int | None = _table()["kinds"].get(f"{api_version}/{thing.get('kind', '')}")
    return found


def normalized(thing: Mapping[str, Any]) -> Object:
    """Return an object without unknown fields, empty ones that the server drops, and fields nobody may set.

    Custom kinds, and objects with a value of the wrong type, keep their fields as they are.
    """
    found = dict(thing)
    number = _number(thing)
    if is_secret(thing):
        found = _secret(found)
    elif _is_definition(thing):
        found = _definition(found)
    elif number is not None:
        try:
            found = pruned(_struct(number, found), found)
        except (MismatchError, ValueError):
            found = dict(thing)
    return without_read_only(found)


def without_read_only(thing: Object) -> Object:
    """Return an object without the metadata that the server alone writes."""
    metadata = thing.get("metadata")
    if not isinstance(metadata, dict):
        return thing
    return {**thing, "metadata": {key: value for key, value in metadata.items() if key not in READ_ONLY}}


def _secret(thing: Object) -> Object:
    written = thing.get("stringData")
    data = thing.get("data")
    if isinstance(written, dict) and written and all(isinstance(value, str) for value in written.values()):
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in written.items()}
        kept = {key: value for key, value in thing.items() if key != "stringData"}
        return {**kept, "data": {**(data if isinstance(data, dict) else {}), **encoded}}
    if isinstance(data, dict) and data:
        return {**thing, "data": {key: _encoded_again(value) for key, value in data.items()}}
    return thing


def _encoded_again(value: Any) -> Any:
    """Return base64 as the server writes it. What is none is the server's to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return _base64(value)
    except (binascii.Error, ValueError):
        return value


def _base64(text: str) -> str:
    """Return base64 without line breaks; raise ValueError for what is none."""
    bare = text.replace("\r", "").replace("\n", "")
    return base64.b64encode(base64.b64decode(bare, validate=True)).decode()


def _definition(thing: Object) -> Object:
    kept = {key: value for key, value in thing.items() if key != "status"}
    spec = kept.get("spec")
    if isinstance(spec, dict) and spec.get("preserveUnknownFields") is False:
        kept["spec"] = {key: value for key, value in spec.items() if key != "preserveUnknownFields"}
    return kept


def _struct(number: int, value: Any) -> Object:
    if not isinstance(value, dict):
        raise MismatchError
    fields: Mapping[str, str] = _table()["types"][number]
    found: Object = {}
    for key, given in value.items():
        described = fields.get(key)
        if described is None:
            continue
        kind = described.removesuffix("?")
        converted = _value(kind, given)
        if described.endswith("?") and _is_empty(kind, converted):
            continue
        found[key] = converted
    return found


def _nothing(number: int) -> Object:
    """Return what a null is where there is always an object: one of the fields that stay when they are empty."""
    fields: Mapping[str, str] = _table()["types"][number]
    kept = {key: kind.removesuffix("?") for key, kind in fields.items()}
    return {key: _value(kind, None) for key, kind in kept.items() if kind.isdigit() or not fields[key].endswith("?")}


def _is_empty(kind: str, value: Any) -> bool:
    if kind[0] == "*" or kind == "a":
        return value is None
    if kind.isdigit():
        return False
    return value is None or value in (False, 0, "") or (isinstance(value, list | dict) and not value)


def _value(kind: str, value: Any) -> Any:
    """Return a value as a field of this type holds it; raise MismatchError."""
    match kind[0]:
        case "*":
            return None if value is None else _value(kind[1:], value)
        case "[":
            if value is None:
                return None
            if not isinstance(value, list):
                raise MismatchError
            return [_value(kind[1:], item) for item in value]
        case "{":
            if value is None:
                return None
            if not isinstance(value, dict):
                raise MismatchError
            return {key: _value(kind[1:], item) for key, item in value.items()}
        case letter if letter.isdigit():
            return _nothing(int(kind)) if value is None else _struct(int(kind), value)
        case letter:
            return _scalar(letter, value)


def _scalar(letter: str, value: Any) -> Any:
    if letter == "a" or (letter == "t" and isinstance(value, str | None)):
        return value
    if value is None:
        return {"s": "", "b": False, "i": 0, "f": 0, "q": "0", "x": 0, "y": None}[letter]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if letter == "q" and (number or isinstance(value, str)):
        return quantity.canonical(value)
    if letter == "y" and isinstance(value, str):
        return _base64(value)
    fits = {
        "s": isinstance(value, str),
        "b": isinstance(value, bool),
        "i": number and value == int(value),
        "f": number,
        "x": isinstance(value, str) or (number and value == int(value)),
    }
    if not fits.get(letter, False):
        raise MismatchError
    return value
