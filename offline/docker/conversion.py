"""Converts what a program wrote into the types a property has, as far as the official provider does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from offline.docker.schema import Field, Fields, Kind, underlying_name
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Unknown, Value

TRUE_TEXTS = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE_TEXTS = frozenset({"0", "f", "F", "FALSE", "false", "False"})
WHOLE = re.compile(r"^[+-]?\d+$")

ConvertObject = Callable[[Fields, Mapping[str, Value]], Properties]


def is_bool_text(value: str) -> bool:
    """Say whether a text stands for true or false."""
    return value in TRUE_TEXTS or value in FALSE_TEXTS


def shown(value: Value) -> str:
    """Return a plain value as text: no exponent, no needless fraction."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not value.is_integer():
        return repr(value) if "e" not in repr(value) else f"{value:f}"
    return str(int(value)) if isinstance(value, float) else str(value)


def convert(name: str, field: Field, value: Value, convert_object: ConvertObject) -> Value:
    """Convert one property; raise PluginError for a text that should be a number and is not."""
    if isinstance(value, Unknown):
        return value
    if field.scalar:
        return _scalar(underlying_name(name, field), field.kind, value)
    if field.kind is Kind.MAP:
        if isinstance(value, dict):
            return {key: _map_value(field, item) for key, item in value.items() if item is not None}
        return value
    items = value if isinstance(value, list) else [value]
    converted = [
        _element(f"{underlying_name(name, field)}[{i}]", field, v, convert_object) for i, v in enumerate(items)
    ]
    if field.one:
        if not converted:
            return None
        return converted[0] if len(converted) == 1 else converted
    return converted


def _map_value(field: Field, value: Value) -> Value:
    return shown(value) if field.typed and isinstance(value, bool | int | float) else value


def _element(place: str, field: Field, value: Value, convert_object: ConvertObject) -> Value:
    if field.block is None:
        return _scalar(place, Kind.STRING, value)
    return convert_object(field.block, value) if isinstance(value, dict) else value


def _scalar(place: str, kind: Kind, value: Value) -> Value:
    if kind is Kind.STRING and isinstance(value, bool | int | float):
        return shown(value)
    if kind is Kind.INT and isinstance(value, float):
        return int(value)
    if kind is Kind.INT and isinstance(value, str):
        if not WHOLE.match(value):
            raise PluginError(f'{place}: strconv.ParseInt: parsing "{value}": invalid syntax')
        return int(value)
    if kind is Kind.BOOL and isinstance(value, str) and is_bool_text(value):
        return value in TRUE_TEXTS
    return value
