"""Makes the state that is recorded: from what was foretold, from what the daemon says, or from both."""

from __future__ import annotations

from collections.abc import Mapping

from offline.docker.plan import contains_nothing, elements, zero_filled
from offline.docker.schema import Field, Fields, Kind
from offline.plugin.values import Properties, Unknown, Value, contains_unknown


def settle(fields: Fields, foretold: Mapping[str, Value], found: Mapping[str, Value]) -> Properties:
    """Return the state after a Create: what was foretold, filled in with what the daemon says.

    Sets stay as the program wrote them, and where the program wrote nothing, nothing found stays null.
    """
    state: Properties = {}
    for name, field in fields.items():
        planned = foretold.get(name)
        if name not in found or (field.kind is Kind.SET and planned is not None and not contains_unknown(planned)):
            state[name] = known(field, planned)
        elif planned is None and contains_nothing(found[name]) and field.kind in (Kind.MAP, Kind.LIST, Kind.SET):
            state[name] = [] if field.block is not None and not field.one else None
        else:
            state[name] = found[name]
    return state


def as_foretold(fields: Fields, foretold: Mapping[str, Value]) -> Properties:
    """Return the state of an object about which nothing could be found out: what is unknown stays unset."""
    return {name: known(field, foretold.get(name)) for name, field in fields.items()}


def known(field: Field, value: Value) -> Value:
    """Return a foretold value with what was not known left out: an empty set for a set, null for all else."""
    if isinstance(value, Unknown):
        return [] if field.kind is Kind.SET and not field.one else None
    return value


def refreshed(fields: Fields, prior: Mapping[str, Value], found: Mapping[str, Value]) -> Properties:
    """Return the state after a Read: the prior one with what the daemon says, nulls inside blocks as zero values."""
    state: Properties = {}
    for name, field in fields.items():
        value = found[name] if name in found else prior.get(name)
        if field.block is not None:
            filled: list[Value] = [zero_filled(field.block, element) for element in elements(value)]
            state[name] = (filled[0] if filled else None) if field.one else filled
        else:
            state[name] = value
    return state
