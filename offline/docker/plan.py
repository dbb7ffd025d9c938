"""Foretells a resource's state from its prior state and its inputs, and says what must make a new object.

The rules are those of Terraform's plugin SDK, on which the official provider stands. Values are property values without
secret marks; `None` is null; a block of which there is at most one is written as the object itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offline.docker.schema import ZEROS, Field, Fields, Kind
from offline.plugin.values import UNKNOWN, Properties, Unknown, Value


@dataclass(frozen=True)
class Plan:
    """What is foretold: the state, whether anything differs from the prior one, whether a new object is needed."""

    state: Properties
    changed: bool
    replace: bool


@dataclass(frozen=True)
class _Outcome:
    value: Value
    changed: bool = False
    replace: bool = False


def plan(fields: Fields, prior: Mapping[str, Value] | None, inputs: Mapping[str, Value]) -> Plan:
    """Foretell the state; `prior` is None for an object that does not exist yet."""
    outcomes = {
        name: _plan_field(field, (prior or {}).get(name), inputs.get(name), exists=prior is not None)
        for name, field in fields.items()
    }
    changed = any(outcome.changed for outcome in outcomes.values())
    if prior is not None and not changed:
        return Plan(dict(prior), changed=False, replace=False)
    state = {name: outcome.value for name, outcome in outcomes.items()}
    if prior is not None and all(_equivalent(prior.get(name), value) for name, value in state.items()):
        return Plan(dict(prior), changed=False, replace=False)
    return Plan(state, changed=True, replace=any(outcome.replace for outcome in outcomes.values()))


def _plan_field(field: Field, old: Value, new: Value, *, exists: bool) -> _Outcome:
    if field.scalar:
        return _plan_scalar(field, old, new, exists=exists)
    if field.kind is Kind.MAP:
        return _plan_map(field, old, new)
    if field.block is None or not field.input:
        return _plan_plain_list(field, old, new) if field.kind is Kind.LIST else _plan_plain_set(field, old, new)
    return _plan_blocks(field, old, new, exists=exists)


def spelled(value: Value) -> str:
    """Return a plain value as the SDK keeps it in a flat state; null is the empty string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _plan_scalar(field: Field, old: Value, new: Value, *, exists: bool) -> _Outcome:
    if isinstance(new, Unknown):
        kept = field.computed and spelled(old) != ""
        return _Outcome(old) if kept else _Outcome(UNKNOWN, changed=True, replace=field.replace)
    wanted: Value = new
    if wanted is None and field.computed:
        wanted = old
    if wanted is None:
        wanted = field.default
    if wanted is None and field.computed and not exists:
        return _Outcome(UNKNOWN, changed=True, replace=field.replace)
    if field.blank_is and wanted == "":
        wanted = field.blank_is
    before = spelled(old)
    after = spelled(ZEROS[field.kind] if wanted is None and old is not None else wanted)
    if before == after or (field.blank_keeps and after == "") or (field.computed and after == ""):
        return _Outcome("" if old is None and new == "" else old)
    removed = old is not None and wanted is None
    return _Outcome(None if removed else wanted, changed=True, replace=field.replace)


def _plan_map(field: Field, old: Value, new: Value) -> _Outcome:
    if isinstance(new, Unknown) or (isinstance(new, dict) and any(isinstance(v, Unknown) for v in new.values())):
        return _Outcome(UNKNOWN, changed=True, replace=field.replace)
    if new is None and field.computed:
        if old is None:
            return _Outcome(UNKNOWN, changed=True, replace=field.replace)
        return _Outcome(old)
    before = old if isinstance(old, dict) else {}
    after = new if isinstance(new, dict) else {}
    if {k: spelled(v) for k, v in before.items()} == {k: spelled(v) for k, v in after.items()}:
        return _Outcome(old)
    return _Outcome(dict(after), changed=True, replace=field.replace)


def _plan_plain_list(field: Field, old: Value, new: Value) -> _Outcome:
    if isinstance(new, Unknown):
        return _Outcome(UNKNOWN, changed=True, replace=field.replace)
    if new is None and field.computed:
        return _Outcome(UNKNOWN, changed=True, replace=field.replace) if old is None else _Outcome(old)
    before, after = _listed(old), _listed(new)
    if before == after:
        return _Outcome(old)
    return _Outcome(after, changed=True, replace=field.replace)


def _plan_plain_set(field: Field, old: Value, new: Value) -> _Outcome:
    if isinstance(new, Unknown):
        if field.computed and _listed(old):
            return _Outcome(old)
        return _Outcome(UNKNOWN, changed=True, replace=field.replace)
    if new is None and field.computed:
        return _Outcome(UNKNOWN, changed=True, replace=field.replace) if old is None else _Outcome(old)
    if any(isinstance(item, Unknown) for item in _listed(new)):
        return _Outcome(UNKNOWN, changed=True, replace=field.replace)
    before, after = {spelled(item) for item in _listed(old)}, {spelled(item) for item in _listed(new)}
    if before == after:
        return _Outcome(old)
    ordered: list[Value] = [*sorted(after)]
    return _Outcome(ordered, changed=True, replace=field.replace)


def _plan_blocks(field: Field, old: Value, new: Value, *, exists: bool) -> _Outcome:
    if isinstance(new, Unknown):
        if field.kind is Kind.SET and field.computed and elements(old):
            return _Outcome(old)
        return _Outcome(UNKNOWN, changed=True, replace=field.replace)
    before, after = elements(old), elements(new)
    if not after and field.computed:
        if exists:
            return _Outcome(old)
        return _Outcome(UNKNOWN, changed=True, replace=field.replace)
    if field.kind is Kind.LIST:
        return _plan_block_list(field, before, after)
    return _plan_block_set(field, before, after)


def _plan_block_list(field: Field, before: list[Properties], after: list[Properties]) -> _Outcome:
    assert field.block is not None  # noqa: S101  for the type checker: only blocks come here
    changed = len(before) != len(after)
    replace = changed and field.replace
    planned: list[Properties] = []
    for index in range(max(len(before), len(after))):
        was = zero_filled(field.block, before[index]) if index < len(before) else {}
        if index >= len(after):
            replace = replace or _losing_replaces(field.block, was)
            continue
        element: Properties = {}
        for name, inner in field.block.items():
            outcome = _plan_field(inner, was.get(name), after[index].get(name), exists=True)
            element[name] = outcome.value
            changed, replace = changed or outcome.changed, replace or outcome.replace
        planned.append(element)
    if changed and field.block.keys() >= {"internal", "external", "protocol"} and same_ports(before, planned):
        changed = False  # the SDK is told to overlook the order of ports
    if not changed:
        return _Outcome(_unlisted(field, [zero_filled(field.block, e) for e in before]))
    return _Outcome(_unlisted(field, planned), changed=True, replace=replace)


def same_ports(before: Sequence[Properties], after: Sequence[Properties]) -> bool:
    """Say whether two lists of ports publish the same, in whatever order."""
    if len(before) != len(after):
        return False
    for was in before:
        found = False
        for now in after:
            if now.get("internal") != was.get("internal"):
                continue
            if now.get("protocol") != was.get("protocol"):
                if any(
                    (p.get("internal"), p.get("protocol")) == (was.get("internal"), was.get("protocol")) for p in after
                ):
                    continue
                return False
            if (now.get("external") or 0) != (was.get("external") or 0) or now.get("ip") != was.get("ip"):
                return False
            found = True
            break
        if not found:
            return False
    return True


def _plan_block_set(field: Field, before: list[Properties], after: list[Properties]) -> _Outcome:
    assert field.block is not None  # noqa: S101  for the type checker: only blocks come here
    planned = [fresh_element(field.block, element) for element in after]
    old_keys = {element_key(field.block, element) for element in before}
    new_keys = {element_key(field.block, element) for element in planned}
    if old_keys == new_keys:
        kept = [zero_filled(field.block, element) for element in before]
        return _Outcome(_unlisted(field, kept))
    replace = field.replace and len(old_keys) != len(new_keys)
    for element in before:
        if element_key(field.block, element) not in new_keys:
            replace = replace or _losing_replaces(field.block, zero_filled(field.block, element))
    for element in planned:
        if element_key(field.block, element) not in old_keys:
            replace = replace or _gaining_replaces(field.block, element)
    unique = {element_key(field.block, element): element for element in planned}
    return _Outcome(_unlisted(field, list(unique.values())), changed=True, replace=replace)


def _losing_replaces(block: Fields, element: Properties) -> bool:
    """Say whether an element that goes takes a value with it whose change makes a new object."""
    for name, field in block.items():
        value = element.get(name)
        if field.scalar:
            if field.replace and spelled(value) not in ("", spelled(ZEROS[field.kind])):
                return True
        elif value and (field.replace or any(_losing_replaces(field.block or {}, e) for e in elements(value))):
            return True
    return False


def _gaining_replaces(block: Fields, element: Properties) -> bool:
    """Say whether an element that comes brings a value whose change makes a new object."""
    for name, field in block.items():
        value = element.get(name)
        if field.scalar:
            if field.replace and (isinstance(value, Unknown) or spelled(value) != ""):
                return True
        elif value and (field.replace or any(_gaining_replaces(field.block or {}, e) for e in elements(value))):
            return True
    return False


def elements(value: Value) -> list[Properties]:
    """Return the objects of a block property, whether it is a list of them or the one itself."""
    if isinstance(value, dict):
        return [value]
    return [item for item in _listed(value) if isinstance(item, dict)]


def _listed(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []


def _unlisted(field: Field, found: list[Properties]) -> Value:
    if field.one:
        return found[0] if found else None
    return list(found)


def fresh_element(block: Fields, element: Mapping[str, Value]) -> Properties:
    """Return a set's new element as the SDK makes it: defaults applied, unset text empty, unset lists empty."""
    fresh: Properties = {}
    for name, field in block.items():
        value = element.get(name)
        if value is None:
            value = field.default
        if value is None and field.kind is Kind.STRING:
            value = ""
        elif field.kind is Kind.MAP and isinstance(value, dict) and any(isinstance(v, Unknown) for v in value.values()):
            value = UNKNOWN
        elif field.kind in (Kind.LIST, Kind.SET) and not isinstance(value, Unknown):
            if field.block is None:
                items = _listed(value)
                value = sorted(items, key=spelled) if field.kind is Kind.SET else list(items)
            else:
                value = _unlisted(field, [fresh_element(field.block, e) for e in elements(value)])
        fresh[name] = value
    return fresh


def zero_filled(block: Fields, element: Mapping[str, Value]) -> Properties:
    """Return an element with its nulls as the SDK writes them when the set or list goes unchanged: as zero values."""
    filled: Properties = {}
    for name, field in block.items():
        value = element.get(name)
        if field.scalar:
            filled[name] = ZEROS[field.kind] if value is None else value
        elif field.kind is Kind.MAP:
            filled[name] = {} if value is None else value
        elif field.block is None:
            filled[name] = _listed(value)
        else:
            filled[name] = _unlisted(field, [zero_filled(field.block, e) for e in elements(value)])
    return filled


def element_key(block: Fields, element: Mapping[str, Value]) -> str:
    """Return what makes two elements of a set the same one: all of their values, null and zero being alike."""
    return json.dumps(_comparable(zero_filled(block, element), block), sort_keys=True)


def _comparable(element: Mapping[str, Value], block: Fields) -> dict[str, object]:
    result: dict[str, object] = {}
    for name, field in block.items():
        value = element.get(name)
        if field.block is not None:
            inner = [_comparable(e, field.block) for e in elements(value)]
            result[name] = sorted(inner, key=str) if field.kind is Kind.SET else inner
        elif isinstance(value, list):
            texts = [_plain(item) for item in value]
            result[name] = sorted(texts) if field.kind is Kind.SET else texts
        elif isinstance(value, dict):
            result[name] = {key: _plain(item) for key, item in value.items()}
        else:
            result[name] = _plain(value)
    return result


def _plain(value: Value) -> str:
    return "\0unknown" if isinstance(value, Unknown) else spelled(value)


def _equivalent(left: Value, right: Value) -> bool:
    """Compare as the SDK does before it calls a change one: null, zero and empty are alike."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return False
    if not left and not right:
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return all(_equivalent(left.get(key), right.get(key)) for key in left.keys() | right.keys())
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return False
        return all(_equivalent(a, b) for a, b in zip(left, right, strict=True))
    return type(left) is type(right) and left == right


def contains_nothing(value: Value) -> bool:
    """Say whether a value is null or an empty list or map."""
    return value is None or value in ([], {})
