"""What each resource takes: kinds, bounds, defaults, and the reasons to refuse; no keys, no protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from offline.plugin.values import Properties, Value, contains_unknown, reveal

LIMIT = 2**63
INTEGER = "a whole number"
TEXT = "a text"
FLAG = "true or false"
TEXTS = "a list of texts"
SUBJECT = "a map of names"

STREETS = "streetAddresses"
NAMES = (
    "commonName", "country", "emailAddress", "locality", "organization", "organizationalUnit", "postalCode",
    "province", "serialNumber", STREETS,
)  # fmt: skip

Made: TypeAlias = tuple[str, Properties]
"""An id, and the outputs besides the inputs."""


@dataclass(frozen=True)
class Refusal:
    """Why an input is not accepted; an empty name means the inputs as a whole."""

    name: str
    reason: str


@dataclass(frozen=True)
class Input:
    """An input's kind and bounds, what it is where it is not given, and what a change of it means."""

    kind: str
    required: bool = False
    default: Value = None
    allowed: tuple[str, ...] = ()
    least: int = -LIMIT
    secret: bool = False
    replaces: bool = True
    stays: bool = False
    """Where it is given no more, what it was stays."""
    untold: bool = False
    """It is no output: no state holds it, and no change of it is seen."""


Checker: TypeAlias = Callable[[Properties], list[Refusal]]


def checked(inputs: Mapping[str, Input], given: Properties, also: Checker) -> list[Refusal]:
    """Return every reason to refuse the inputs; what is still unknown is not judged, and no secret is repeated."""
    found = [
        Refusal(name, f"is not an input; known are {', '.join(sorted(inputs))}")
        for name in given
        if name not in inputs and not name.startswith("__")
    ]
    for name, one in inputs.items():
        value = reveal(given.get(name))
        if value is None:
            if one.required:
                found.append(Refusal(name, f"is missing; it must be {wanted(one)}"))
        elif not contains_unknown(value) and not fits(one, value):
            shown = "is something else" if one.secret else f"is {value!r}"
            found.append(Refusal(name, f"{shown}; it must be {wanted(one)}"))
    return found or also(with_defaults(inputs, given))


def wanted(one: Input) -> str:
    """Return what an input must be, in words."""
    if one.kind == SUBJECT:
        return f"{SUBJECT}: {', '.join(NAMES)}"
    if one.allowed:
        each = " of these: " if one.kind == TEXTS else ", one of "
        return f"{one.kind}{each}{', '.join(one.allowed)}"
    return f"{one.kind}, {one.least} at the least" if one.least > -LIMIT else one.kind


def fits(one: Input, value: Value) -> bool:
    """Say whether a known value is what an input must be."""
    if one.kind == INTEGER:
        return isinstance(value, int) and not isinstance(value, bool) and one.least <= value < LIMIT
    if one.kind == TEXT:
        return isinstance(value, str) and (not one.allowed or value in one.allowed)
    if one.kind == FLAG:
        return isinstance(value, bool)
    if one.kind == TEXTS:
        return isinstance(value, list) and all(
            isinstance(item, str) and (not one.allowed or item in one.allowed) for item in value
        )
    return isinstance(value, dict) and all(
        name in NAMES and (each is None or _fits_name(name, each)) for name, each in value.items()
    )


def _fits_name(name: str, value: Value) -> bool:
    if name == STREETS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def with_defaults(inputs: Mapping[str, Input], given: Mapping[str, Value]) -> Properties:
    """Return the known inputs without secret marks, absent ones as their default, and a subject's given names alone."""
    full = {name: reveal(given.get(name)) for name in inputs}
    for name, value in full.items():
        if isinstance(value, dict):
            full[name] = {key: each for key, each in value.items() if each is not None and not key.startswith("__")}
    return {name: inputs[name].default if value is None else value for name, value in full.items()}


def whole(value: Value) -> int:
    """Return a checked whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def texts(value: Value) -> list[str]:
    """Return a checked list of texts; none where there is no list."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def no_more(_: Properties) -> list[Refusal]:
    """Refuse nothing further."""
    return []
