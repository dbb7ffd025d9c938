"""What a change of inputs means: nothing, a new state with the old values, or a replacement."""

from __future__ import annotations

from dataclasses import dataclass

from offline.plugin.values import Properties, Value, contains_unknown, reveal_properties
from offline.random.resources import Resource
from offline.random.schema import with_defaults


@dataclass(frozen=True)
class Difference:
    """The inputs that differ: those that replace the resource, and those that only change what its state says."""

    replaces: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()


def difference(resource: Resource, state: Properties, inputs: Properties) -> Difference:
    """Compare a resource's state with its new inputs, absent ones on either side standing for their defaults."""
    old = with_defaults(resource.inputs, reveal_properties(state))
    new = with_defaults(resource.inputs, inputs)
    replaces, updates = [], []
    for name in resource.inputs:
        before, after = old[name], new[name]
        if name == "number":
            continue  # the old name of `numeric`, which has the same value
        if name == "keepers" and not resource.strict_keepers:
            before, after = _present(before), _present(after)
        if before == after and not contains_unknown(after):
            continue
        if name == "overrideSpecial" and before == "" and after is None:
            updates.append(name)
        else:
            replaces.append(name)
    return Difference(tuple(replaces), tuple(updates))


def _present(keepers: Value) -> Value:
    """Return the keepers that have a value: entries without one keep nothing."""
    return {key: value for key, value in keepers.items() if value is not None} if isinstance(keepers, dict) else {}
