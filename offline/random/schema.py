"""What each resource takes: kinds, defaults, and the reasons to refuse; no drawing, no protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from offline.plugin.values import Properties, Value, contains_unknown, is_unknown, reveal

LIMIT = 2**63


@dataclass(frozen=True)
class Refusal:
    """Why an input is not accepted; an empty name means the inputs as a whole."""

    name: str
    reason: str


@dataclass(frozen=True)
class Input:
    """An input's kind, whether it must be given, and what it is otherwise."""

    kind: str
    required: bool = False
    default: Value = None


Checker: TypeAlias = Callable[[Properties], list[Refusal]]

INTEGER = "a whole number"
TEXT = "a text"
FLAG = "true or false"
TEXTS = "a list of texts"
KEEPERS = "a map of texts"


def checked(inputs: Mapping[str, Input], given: Properties, also: Checker) -> list[Refusal]:
    """Return every reason to refuse the inputs; what is still unknown is not judged."""
    found = [
        Refusal(name, f"is not an input; known are {', '.join(sorted(inputs))}")
        for name in given
        if name not in inputs and not name.startswith("__")
    ]
    for name, one in inputs.items():
        value = reveal(given.get(name))
        if value is None:
            if one.required:
                found.append(Refusal(name, f"is missing; it must be {one.kind}"))
        elif not contains_unknown(value) and not _fits(one.kind, value):
            found.append(Refusal(name, f"is {value!r}; it must be {one.kind}"))
    return found or also(with_defaults(inputs, given))


def with_defaults(inputs: Mapping[str, Input], given: Mapping[str, Value]) -> Properties:
    """Return the known inputs without secret marks, absent ones as their default; `numeric` and `number` are one."""
    full = {name: reveal(given.get(name)) for name in inputs}
    if "numeric" in inputs:
        either = full["numeric"] if full["numeric"] is not None else full["number"]
        full["numeric"] = full["number"] = either
    return {name: inputs[name].default if value is None else value for name, value in full.items()}


def whole(value: Value) -> int:
    """Return a checked whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _fits(kind: str, value: Value) -> bool:
    if kind == INTEGER:
        return isinstance(value, int) and not isinstance(value, bool) and -LIMIT <= value < LIMIT
    if kind == TEXT:
        return isinstance(value, str)
    if kind == FLAG:
        return isinstance(value, bool)
    if kind == TEXTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, dict) and all(item is None or isinstance(item, str) for item in value.values())


def no_more(_: Properties) -> list[Refusal]:
    """Refuse nothing further."""
    return []


def check_length(full: Properties) -> list[Refusal]:
    """Refuse a length below one."""
    return _at_least_one("length", full)


def check_byte_length(full: Properties) -> list[Refusal]:
    """Refuse a number of bytes below one."""
    return _at_least_one("byteLength", full)


def _at_least_one(name: str, full: Properties) -> list[Refusal]:
    value = full[name]
    return [] if is_unknown(value) or whole(value) >= 1 else [Refusal(name, f"is {value}; it must be at least 1")]


def check_text(full: Properties) -> list[Refusal]:
    """Refuse what no text can satisfy: too short for the minima, or no class to draw from."""
    found = check_length(full)
    minima = [full[name] for name in ("minUpper", "minLower", "minNumeric", "minSpecial")]
    if not any(map(is_unknown, [full["length"], *minima])):
        needed = sum(whole(minimum) for minimum in minima)
        if whole(full["length"]) < needed:
            found.append(Refusal("length", f"is {full['length']}; the minima of the classes add up to {needed}"))
        found += [
            Refusal(name, f"is {full[name]}; it must not be negative")
            for name in ("minUpper", "minLower", "minNumeric", "minSpecial")
            if whole(full[name]) < 0
        ]
    if all(full[name] is False for name in ("upper", "lower", "numeric", "special")):
        found.append(Refusal("", "upper, lower, numeric and special are all false: there is nothing to draw from"))
    return found
