"""Answers Diff: what a program's new inputs would do to an object that exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from offline.docker.difference import REPLACE, Kinds, decide, difference
from offline.docker.plan import Plan, plan
from offline.docker.resource import ResourceType
from offline.plugin.values import Properties, Value

DEFAULTS = "__defaults"


@dataclass(frozen=True)
class Diff:
    """The answer: whether anything changes, the kind of change by path, and the order of a replacement."""

    changed: bool
    kinds: Kinds = field(default_factory=dict)
    delete_first: bool = False

    @property
    def properties(self) -> list[str]:
        """Return the properties that change, each once."""
        return sorted({root(path) for path in self.kinds})

    @property
    def replaces(self) -> list[str]:
        """Return the property of every path that needs a new object, as often as there are such paths."""
        return sorted(root(path) for path, kind in self.kinds.items() if kind.endswith(REPLACE))


def root(path: str) -> str:
    """Return the property a path is in."""
    for position, character in enumerate(path):
        if character in ".[":
            return path[:position]
    return path


def without_defaults(value: Value) -> Value:
    """Return inputs without the lists of what was filled in, at every depth."""
    if isinstance(value, dict):
        return {key: without_defaults(item) for key, item in value.items() if key != DEFAULTS}
    if isinstance(value, list):
        return [without_defaults(item) for item in value]
    return value


def plain_inputs(inputs: Mapping[str, Value]) -> Properties:
    """Return inputs as the plan reads them: no lists of defaults, no nulls."""
    return {key: without_defaults(item) for key, item in inputs.items() if key != DEFAULTS and item is not None}


def diff(
    kind: ResourceType, prior: Mapping[str, Value], inputs: Mapping[str, Value], ignored: Sequence[str] = ()
) -> Diff:
    """Compare the prior state with what the inputs lead to; `ignored` names properties to leave as they are."""
    foretold = foretell(kind, prior, inputs, ignored)
    if not foretold.changed:
        return Diff(changed=False)
    found = difference(kind.fields, prior, foretold.state, plain_inputs(inputs))
    kinds = decide(found, replace=foretold.replace)
    replacing = any(change.endswith(REPLACE) for change in kinds.values())
    return Diff(True, kinds, replacing and (kind.delete_first or _named_by_hand(kind, inputs)))


def foretell(
    kind: ResourceType, prior: Mapping[str, Value] | None, inputs: Mapping[str, Value], ignored: Sequence[str] = ()
) -> Plan:
    """Plan the state the inputs lead to, from the prior one or from nothing; `ignored` stays as it is."""
    fields = {name: described for name, described in kind.fields.items() if name not in ignored}
    if prior is None:
        return plan(fields, None, plain_inputs(inputs))
    known = {name: prior.get(name) for name in kind.fields}
    foretold = plan(fields, {name: known[name] for name in fields}, plain_inputs(inputs))
    return Plan({**known, **foretold.state}, foretold.changed, foretold.replace)


def _named_by_hand(kind: ResourceType, inputs: Mapping[str, Value]) -> bool:
    """Say whether the program chose the name itself: then old and new cannot stand side by side."""
    defaults = inputs.get(DEFAULTS)
    return kind.named and "name" in inputs and isinstance(defaults, list) and "name" not in defaults
