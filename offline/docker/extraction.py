"""Finds a resource's inputs in its state: after a Read of a known resource, or when one is imported."""

from __future__ import annotations

from collections.abc import Mapping

from offline.docker.schema import ZEROS, Field, Fields, Kind
from offline.plugin.values import Properties, Value

DEFAULTS = "__defaults"


def refreshed_inputs(fields: Fields, inputs: Mapping[str, Value], state: Mapping[str, Value]) -> Properties:
    """Return the inputs a program had written, with the values the state now holds; what was unset stays unset."""
    return _object(fields, inputs, state)[0]


def _object(fields: Fields, inputs: Mapping[str, Value], state: Mapping[str, Value]) -> tuple[Properties, bool]:
    recorded = inputs.get(DEFAULTS)
    defaults = {name for name in recorded if isinstance(name, str)} if isinstance(recorded, list) else set()
    result: Properties = {}
    unchanged = True
    for name, old in inputs.items():
        if name == DEFAULTS:
            continue
        same = False
        if name in state:
            result[name], same = _value(fields.get(name), old, state[name])
        if not same:
            unchanged = False
            defaults.discard(name)
    if defaults or (unchanged and recorded == []):
        # Unlike the official provider, which drops an empty one: then every resource would come out of the refresh with
        # other inputs than it has, and the engine write the whole state again for each of them in every update.
        result[DEFAULTS] = [*sorted(defaults)]
    return result, unchanged or not isinstance(recorded, list)


def _value(field: Field | None, old: Value, new: Value) -> tuple[Value, bool]:
    block = field.block if field else None
    if isinstance(old, list) and isinstance(new, list):
        return _list(field, old, new)
    if isinstance(old, dict) and isinstance(new, dict):
        if block is not None:
            return _object(block, old, new)
        return {key: new[key] for key in old if key in new}, False
    if field is not None and field.blank_is:
        return old, (old or field.blank_is) == new
    return new, old == new


def _list(field: Field | None, old: list[Value], new: list[Value]) -> tuple[Value, bool]:
    pairs = _pairs(field, old, new)
    result: list[Value] = []
    unchanged = len(pairs) == len(old)
    element = Field(Kind.STRING) if field is None or field.block is None else None
    for was, now in pairs:
        if field is not None and field.block is not None and isinstance(was, dict) and isinstance(now, dict):
            inner, same = _object(field.block, was, now)
            result.append(inner)
        else:
            value, same = _value(element, was, now)
            result.append(value)
        unchanged = unchanged and same
    return result, unchanged


def _pairs(field: Field | None, old: list[Value], new: list[Value]) -> list[tuple[Value, Value]]:
    """Pair old elements with new ones: in a list by place, in a set of objects by how much they have in common."""
    objects = all(isinstance(item, dict) for item in [*old, *new])
    if field is None or field.kind is not Kind.SET or field.block is None or not objects:
        return list(zip(old, new, strict=False))
    scored = sorted(
        ((_likeness(was, now), -i, -j) for i, was in enumerate(old) for j, now in enumerate(new)), reverse=True
    )
    chosen: dict[int, int] = {}
    for _, i, j in scored:
        if -i not in chosen and -j not in chosen.values():
            chosen[-i] = -j
    return [(old[i], new[chosen[i]]) for i in sorted(chosen)]


def _likeness(old: Value, new: Value) -> int:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return 0
    return sum(3 if new[key] == value else 1 for key, value in old.items() if key in new)


def imported_inputs(fields: Fields, state: Mapping[str, Value]) -> Properties:
    """Return the inputs that would make a state: all that is neither zero nor the default."""
    result: Properties = {}
    for name, field in fields.items():
        if not field.input or name not in state:
            continue
        value = _imported(field, state[name])
        if not field.required and _is_default(field, value):
            continue
        result[name] = value
    result[DEFAULTS] = []
    return result


def _imported(field: Field, value: Value) -> Value:
    if isinstance(value, list):
        return [_imported(field, item) if isinstance(item, dict) else item for item in value]
    if isinstance(value, dict):
        return imported_inputs(field.block, value) if field.block is not None else {**value, DEFAULTS: []}
    return value


def _is_default(field: Field, value: Value) -> bool:
    if field.default is not None:
        return type(value) is type(field.default) and value == field.default
    if isinstance(value, dict):
        return not value.keys() - {DEFAULTS}
    return value is None or value == [] or (field.scalar and value == ZEROS[field.kind])
