"""Checks a program's inputs: converts what can be converted, fills in defaults and names, says what is wrong."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from offline.docker.conversion import convert, is_bool_text
from offline.docker.resource import ResourceType
from offline.docker.schema import Field, Fields, Kind, resolve, snake, underlying_name
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Unknown, Value

DEFAULTS = "__defaults"
NAME_LENGTH = 255
SUFFIX_DIGITS = 7


@dataclass(frozen=True)
class Naming:
    """What the engine says about automatic names: a proposed one, or that there shall be none."""

    proposed: str = ""
    disabled: bool = False


@dataclass(frozen=True)
class Checked:
    """The inputs to work with, and the complaints about them, each a sentence for the user."""

    inputs: Properties
    failures: list[str]


def check(
    kind: ResourceType, logical_name: str, olds: Properties, news: Properties, seed: bytes, naming: Naming
) -> Checked:
    """Check the inputs of one resource; raise PluginError where a value cannot be read at all."""
    inputs = convert_object(kind.fields, news)
    defaults: list[str] = []
    if kind.named and "name" not in inputs:
        inputs["name"] = _automatic_name(logical_name, olds, seed, naming)
        defaults.append("name")
    complaints = _Complaints(logical_name)
    complaints.about_object(kind.fields, inputs, _Where())
    filled = with_defaults(kind.fields, inputs, olds)
    marked = filled[DEFAULTS]
    assert isinstance(marked, list)  # noqa: S101  for the type checker
    filled[DEFAULTS] = sorted([*marked, *defaults], key=str)
    return Checked(filled, complaints.found)


def _automatic_name(logical_name: str, olds: Properties, seed: bytes, naming: Naming) -> str:
    old = olds.get("name")
    if isinstance(old, str):
        return old
    if naming.disabled:
        raise PluginError("automatic naming is disabled but no explicit name was provided")
    if naming.proposed:
        return naming.proposed
    prefix = f"{logical_name}-"
    if len(prefix) + SUFFIX_DIGITS > NAME_LENGTH:
        raise PluginError(
            f"name '{prefix}' plus {SUFFIX_DIGITS} random chars is longer than maximum length {NAME_LENGTH}"
        )
    return prefix + (hashlib.sha256(seed).hexdigest() if seed else secrets.token_hex())[:SUFFIX_DIGITS]


def convert_object(fields: Fields, written: Mapping[str, Value]) -> Properties:
    """Return an object with its keys by their proper names and its values converted; nulls are left out."""
    result: Properties = {}
    for key, value in written.items():
        if key == DEFAULTS or value is None:
            continue
        name = resolve(fields, key)
        result[name or key] = value if name is None else convert(name, fields[name], value, convert_object)
    return result


def with_defaults(fields: Fields, written: Properties, olds: Mapping[str, Value]) -> Properties:
    """Return an object with its defaults filled in, at every depth, and the list of what was."""
    result: Properties = {}
    for name, value in written.items():
        described = fields.get(name)
        result[name] = value if described is None else _with_inner_defaults(described, value, olds.get(name))
    recorded = olds.get(DEFAULTS)
    marked: list[Value] = []
    for name, described in fields.items():
        if name in result:
            continue
        reused = name in olds and (not isinstance(recorded, list) or name in recorded)
        value = olds[name] if reused and described.default is not None else described.default
        if value is None or (not value and not reused):
            continue
        result[name] = value
        marked.append(name)
    result[DEFAULTS] = sorted(marked, key=str)
    return result


def _with_inner_defaults(described: Field, value: Value, old: Value) -> Value:
    if described.block is None:
        return value
    if isinstance(value, dict):
        return with_defaults(described.block, value, old if isinstance(old, dict) else {})
    if isinstance(value, list):
        olds = old if isinstance(old, list) else []
        paired = [olds[index] if index < len(olds) else None for index in range(len(value))]
        return [
            with_defaults(described.block, item, was if isinstance(was, dict) else {})
            if isinstance(item, dict)
            else item
            for item, was in zip(value, paired, strict=True)
        ]
    return value


@dataclass(frozen=True)
class _Where:
    """The path of a value in the program's words, cut at a set, and in the Terraform half's, never cut."""

    shown: str = ""
    underlying: str = ""
    cut: bool = False

    def below(self, name: str, underlying: str) -> _Where:
        """Return the path of a property."""
        joined = f"{self.underlying}.{underlying}".removeprefix(".")
        return _Where(self.shown if self.cut else f"{self.shown}.{name}", joined, self.cut)

    def element(self, index: int, described: Field) -> _Where:
        """Return the path of an element."""
        joined = f"{self.underlying}.{index}"
        if self.cut or described.kind is Kind.SET:
            return _Where(self.shown, joined, cut=True)
        return _Where(self.shown if described.one else f"{self.shown}[{index}]", joined)


@dataclass
class _Complaints:
    logical_name: str
    found: list[str] = field(default_factory=list)

    def add(self, where: _Where, reason: str) -> None:
        self.found.append(f"{reason}. Examine values at '{self.logical_name}{where.shown}'.")

    def about_object(self, fields: Fields, written: Mapping[str, Value], where: _Where) -> None:
        """Complain about an object: in the order of names first what is described, then what is not."""
        for name, described in sorted(fields.items(), key=lambda item: underlying_name(*item)):
            place = where.below(name, underlying_name(name, described))
            if name in written:
                self.about_conflicts(described, written, fields, place)
                self.about_value(described, written[name], place)
            elif described.required:
                self.missing(place)
        for name in sorted(written.keys() - fields.keys()):
            self.add(where.below(name, snake(name)), "Invalid or unknown key")

    def missing(self, place: _Where) -> None:
        self.add(
            place,
            f'Missing required argument. The argument "{place.underlying}" is required, but no definition was found.',
        )

    def about_conflicts(self, described: Field, written: Mapping[str, Value], fields: Fields, place: _Where) -> None:
        for other in described.conflicts:
            if other in written:
                reason = f'"{place.underlying}": conflicts with {underlying_name(other, fields[other])}'
                self.add(place, f"Conflicting configuration arguments. {reason}")

    def about_value(self, described: Field, value: Value, place: _Where) -> None:
        if not described.input:
            reason = (
                f'Can\'t configure a value for "{place.underlying}": its value will be decided automatically based on '
                "the result of applying this configuration."
            )
            self.add(place, f"Value for unconfigurable attribute. {reason}")
        elif isinstance(value, Unknown):
            return
        elif described.scalar:
            self.about_scalar(described, value, place)
        elif described.kind is Kind.MAP:
            if not isinstance(value, dict):
                self.add(place, "Attribute must be a map")
        else:
            self.about_elements(described, value, place)

    def about_scalar(self, described: Field, value: Value, place: _Where) -> None:
        if isinstance(value, dict | list):
            held = "a list" if isinstance(value, list) else "a map"
            self.add(place, f"Attribute must be a single value, not {held}")
        elif described.kind is Kind.BOOL and isinstance(value, str) and not is_bool_text(value):
            self.add(place, f"cannot parse '' as bool: strconv.ParseBool: parsing \"{value}\": invalid syntax")
        elif described.complain is not None and (complaint := described.complain(value)):
            self.add(place, f"{complaint}. {complaint}")

    def about_elements(self, described: Field, value: Value, place: _Where) -> None:
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            inner = place.element(index, described)
            if isinstance(item, Unknown):
                continue
            if described.block is None:
                if isinstance(item, dict | list):
                    held = "a list" if isinstance(item, list) else "a map"
                    self.add(inner, f"Attribute must be a single value, not {held}")
            elif isinstance(item, dict):
                self.about_object(described.block, item, inner)
            else:
                self.add(inner, "Expected Object Type. Expected object, got string")
