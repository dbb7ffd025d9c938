"""Says in detail how a foretold state differs from the prior one, in the engine's words and paths."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from offline.docker.plan import element_key, elements, spelled
from offline.docker.schema import Field, Fields, Kind
from offline.plugin.values import Properties, Unknown, Value

ADD, DELETE, UPDATE = "ADD", "DELETE", "UPDATE"
REPLACE = "_REPLACE"
PLAIN_NAME = re.compile(r"^[a-zA-Z_$][a-zA-Z0-9_$]*$")
META = "__meta"

Kinds = dict[str, str]


@dataclass(frozen=True)
class _Place:
    """Where a value stands: its path, the field that describes it, and the field of the collection around it."""

    path: str
    field: Field | None
    around: Field | None = None

    @property
    def replaces(self) -> bool:
        """Say whether a change here makes a new object: by the field itself or by the collection it is in."""
        return bool(self.field and self.field.replace) or bool(self.around and self.around.replace)

    def item(self, index: int) -> _Place:
        """Return the place of a collection's element."""
        return _Place(f"{self.path}[{index}]", None, self.field)

    def key(self, name: str) -> _Place:
        """Return the place of a map's value."""
        return _Place(join(self.path, name), None, self.field)


def join(path: str, name: str) -> str:
    """Return the path of a property below another."""
    return f"{path}.{name}" if PLAIN_NAME.match(name) else f'{path}["{name}"]'


@dataclass
class _Differ:
    inputs: Mapping[str, Value]
    found: Kinds = field(default_factory=dict)

    def record(self, place: _Place, kind: str, *, replaces: bool) -> None:
        self.found[place.path] = kind + REPLACE if replaces else kind

    def compare(self, place: _Place, old: Value, new: Value, block: Fields | None) -> None:
        """Compare two values at one place; `block` holds the fields where the place is an object."""
        old, new = _present(old), _present(new)
        if old is None and new is None:
            return
        if old is None or new is None or isinstance(new, Unknown):
            self.whole(place, old, new, block)
        elif isinstance(old, dict) and isinstance(new, dict):
            self.objects(place, old, new, block)
        elif isinstance(old, list) and isinstance(new, list) and place.field is not None:
            if place.field.kind is Kind.SET:
                self.sets(place, place.field, old, new)
            else:
                self.lists(place, place.field, old, new)
        elif spelled(old) != spelled(new):
            self.record(place, UPDATE, replaces=place.replaces)

    def whole(self, place: _Place, old: Value, new: Value, block: Fields | None) -> None:
        kind = ADD if old is None else DELETE if new is None else UPDATE
        value = old if new is None or isinstance(new, Unknown) else new
        replaces = place.replaces or _holds_replacing(place.field, block, value)
        if new is not None and not isinstance(new, Unknown) and old is not None:
            replaces = replaces or _holds_replacing(place.field, block, old)
        self.record(place, kind, replaces=replaces)

    def objects(self, place: _Place, old: Properties, new: Properties, block: Fields | None) -> None:
        for name in sorted(old.keys() | new.keys()):
            if block is None:
                self.compare(place.key(name), old.get(name), new.get(name), None)
            elif name in block:
                inner = block[name]
                below = _Place(join(place.path, name), inner, None)
                self.compare(below, old.get(name), new.get(name), inner.block if inner.one else None)

    def lists(self, place: _Place, described: Field, old: list[Value], new: list[Value]) -> None:
        if described.block is None:
            self.plain_lists(place, old, new)
            return
        for index in range(max(len(old), len(new))):
            was = old[index] if index < len(old) else None
            now = new[index] if index < len(new) else None
            self.compare(place.item(index), was, now, described.block)

    def plain_lists(self, place: _Place, old: list[Value], new: list[Value]) -> None:
        before, after = [_hashable(v) for v in old], [_hashable(v) for v in new]
        kinds: dict[int, str] = {}
        for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            if tag == "equal":
                continue
            for index in range(i1, i2):
                kinds[index] = UPDATE if index in kinds else DELETE
            for index in range(j1, j2):
                kinds[index] = UPDATE if index in kinds else ADD
        for index, kind in kinds.items():
            self.record(place.item(index), kind, replaces=bool(place.field and place.field.replace))

    def sets(self, place: _Place, described: Field, old: list[Value], new: list[Value]) -> None:
        before = {_identity(described, item): index for index, item in enumerate(old)}
        after = {_identity(described, item): index for index, item in enumerate(new)}
        removed = sorted(index for key, index in before.items() if key not in after)
        added = sorted(index for key, index in after.items() if key not in before)
        if not removed and not added:
            return
        matched = self.match(place, described, added, new)
        if matched is None or len(matched) != len(added):
            self.record(place, UPDATE, replaces=described.replace)
            return
        for index in sorted(set(removed) | set(matched)):
            was = old[index] if index in removed else None
            now = new[matched[index]] if index in matched else None
            self.compare(place.item(index), was, now, described.block)

    def match(self, place: _Place, described: Field, added: list[int], planned: list[Value]) -> dict[int, int] | None:
        """Find the inputs from which planned elements come, so that paths point into what the program wrote."""
        written = _at(self.inputs, place.path)
        if not isinstance(written, list) or len(written) < len(planned):
            return None
        matched: dict[int, int] = {}
        for index in added:
            for position, candidate in enumerate(written):
                if position not in matched and _comes_from(described, candidate, planned[index]):
                    matched[position] = index
                    break
        return matched


def difference(
    fields: Fields, prior: Mapping[str, Value], planned: Mapping[str, Value], inputs: Mapping[str, Value]
) -> Kinds:
    """Return the kind of change at each path that differs, before the decision whether to replace is applied."""
    differ = _Differ(inputs)
    for name, described in fields.items():
        place = _Place(name, described)
        differ.compare(place, prior.get(name), planned.get(name), described.block if described.one else None)
    return differ.found


def decide(kinds: Kinds, *, replace: bool) -> Kinds:
    """Apply the decision: with a replacement some path must say so, without one none may."""
    if not replace:
        return {path: kind.removesuffix(REPLACE) for path, kind in kinds.items()}
    if any(kind.endswith(REPLACE) for kind in kinds.values()):
        return kinds
    return {**kinds, META: UPDATE + REPLACE}


def _present(value: Value) -> Value:
    return None if isinstance(value, list) and not value else value


def _hashable(value: Value) -> str:
    return "\0unknown" if isinstance(value, Unknown) else repr(value)


def _identity(described: Field, item: Value) -> str:
    if described.block is not None and isinstance(item, dict):
        return element_key(described.block, item)
    return _hashable(item)


def _holds_replacing(described: Field | None, block: Fields | None, value: Value) -> bool:
    """Say whether a value holds something, at any depth, whose change makes a new object."""
    if isinstance(value, dict):
        if block is None:
            return bool(described and described.replace)
        return any(
            block[name].replace or _holds_replacing(block[name], block[name].block if block[name].one else None, inner)
            for name, inner in value.items()
            if name in block
        )
    if isinstance(value, list) and described is not None and described.block is not None:
        return any(_holds_replacing(described, described.block, item) for item in value)
    return bool(described and described.replace)


def _comes_from(described: Field, written: Value, planned: Value) -> bool:
    """Say whether a planned element could come from a written one: what differs was filled in by the daemon."""
    if described.block is None:
        return _hashable(written) == _hashable(planned)
    if not isinstance(written, dict) or not isinstance(planned, dict):
        return False
    for name, inner in described.block.items():
        was, now = written.get(name), planned.get(name)
        if was is None and inner.computed:
            continue
        if not inner.scalar and was is None:
            if now not in (None, [], {}):
                return False
        elif inner.block is not None:
            ours, theirs = elements(was), elements(now)
            if len(ours) != len(theirs) or not all(_comes_from(inner, a, b) for a, b in zip(ours, theirs, strict=True)):
                return False
        elif _hashable(was) != _hashable(now):
            return False
    return True


def _at(inputs: Mapping[str, Value], path: str) -> Value:
    """Return the input at a path of names alone; None when something on the way is not an object."""
    found: Value = dict(inputs)
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found
