"""The vocabulary in which a resource type's properties are described; the tables in it are data, not code."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from offline.docker.durations import parse_duration
from offline.plugin.values import Value

Complaint = Callable[[Value], "str | None"]


class Kind(Enum):
    """What a property holds."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    MAP = "map"
    LIST = "list"
    SET = "set"


@dataclass(frozen=True)
class Field:
    """One property.

    `block` holds the fields of an element where elements are objects; otherwise elements are strings. `one` marks a
    list or set of at most one block, which programs write as the object itself. `computed` says the daemon may fill
    it in; `replace` that a change makes a new object; `blank_keeps` that an empty value leaves the old one, `blank_is`
    what an empty value becomes in the state.
    `typed` marks a map whose values are turned into text; `conflicts` names what cannot be set beside it.
    `underlying` is the property's name in the messages of the provider's Terraform half.
    """

    kind: Kind
    block: Mapping[str, Field] | None = None
    one: bool = False
    required: bool = False
    input: bool = True
    computed: bool = False
    replace: bool = False
    default: bool | int | str | None = None
    blank_keeps: bool = False
    blank_is: str = ""
    typed: bool = False
    conflicts: tuple[str, ...] = ()
    underlying: str = ""
    complain: Complaint | None = None

    @property
    def scalar(self) -> bool:
        """Say whether the property holds one plain value."""
        return self.kind in (Kind.BOOL, Kind.INT, Kind.STRING)

    @property
    def attribute_list(self) -> bool:
        """Say whether it is a list or set that may be null: one of plain values, or one only the daemon fills."""
        return self.kind in (Kind.LIST, Kind.SET) and (self.block is None or not self.input)


Fields = Mapping[str, Field]

ZEROS: Mapping[Kind, bool | int | str] = {Kind.BOOL: False, Kind.INT: 0, Kind.STRING: ""}


def snake(name: str) -> str:
    """Return a camel-case name in the Terraform half's spelling."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)


def underlying_name(name: str, field: Field) -> str:
    """Return the name a property has in the messages of the Terraform half."""
    return field.underlying or snake(name)


def resolve(fields: Fields, key: str) -> str | None:
    """Return the property a program means by `key`: its own name or the Terraform half's; None when there is none."""
    if key in fields:
        return key
    wanted = snake(key)
    return next((name for name, field in fields.items() if underlying_name(name, field) == wanted), None)


def matches(pattern: str) -> Complaint:
    """Complain about a string that does not match the pattern."""
    compiled = re.compile(pattern)

    def complain(value: Value) -> str | None:
        return None if compiled.search(str(value)) else f"'{value}' doesn't match the pattern '{pattern}'"

    return complain


def at_least(least: int) -> Complaint:
    """Complain about a number below the least one."""

    def complain(value: Value) -> str | None:
        low = isinstance(value, int | float) and value < least
        return f"'{value}' cannot be lower than {least}" if low else None

    return complain


def one_of(*allowed: str) -> Complaint:
    """Complain about a string outside a list."""

    def complain(value: Value) -> str | None:
        if value in allowed:
            return None
        quoted = " ".join(f'"{choice}"' for choice in allowed)
        return f"expected to be one of [{quoted}], got {value}"

    return complain


def duration(value: Value) -> str | None:
    """Complain about a string that is not a duration of zero or more."""
    parsed = parse_duration(str(value))
    if parsed is None:
        return f"'{value}' is not a valid duration"
    return f"'{value}' duration must not be negative" if parsed < 0 else None


def base64_text(value: Value) -> str | None:
    """Complain about a string that is not base64."""
    try:
        base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return f"'{value}' is not base64 decodeable"
    return None


def absolute_path(value: Value) -> str | None:
    """Complain about a path that is not absolute, on this system or on Windows."""
    return None if re.match(r"^[a-zA-Z]:[\\/]|^/", str(value)) else f"'{value}' must be an absolute path"
