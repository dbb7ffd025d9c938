"""What a change of inputs, or the time that went by, means: nothing, a new state of the old, or a replacement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from offline.plugin.values import Properties, Value, contains_unknown, reveal_properties
from offline.tls.renewal import due
from offline.tls.resources import Resource
from offline.tls.schema import with_defaults

READY = "readyForRenewal"
PEM = re.compile(r"-----BEGIN [A-Za-z ]+-----\n.+\n-----END [A-Za-z ]+-----\n?", re.DOTALL)


@dataclass(frozen=True)
class Difference:
    """What differs: that which replaces the resource, and that which only changes what its state says."""

    replaces: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()


def difference(resource: Resource, state: Properties, inputs: Properties, now: datetime) -> Difference:
    """Compare a resource's state with its new inputs, absent ones on either side standing for their defaults."""
    known = reveal_properties(state)
    old, new = with_defaults(resource.inputs, known), with_defaults(resource.inputs, inputs)
    replaces, updates = [], []
    for name, one in resource.inputs.items():
        before, after = old[name], new[name]
        if one.untold or (one.stays and after is None) or (before == after and not contains_unknown(after)):
            continue
        # Of a key the states of old versions hold a digest, which is none: they go on with their certificates.
        if one.replaces and not (name == "privateKeyPem" and is_digest(before)):
            replaces.append(name)
        else:
            updates.append(name)
    if resource.expires:
        if due(known, new["earlyRenewalHours"], now):
            replaces.append(READY)
        elif known.get(READY) is True:
            updates.append(READY)
    return Difference(tuple(sorted(replaces)), tuple(sorted(updates)))


def is_digest(value: Value) -> bool:
    """Say whether a key's text in a state is no key."""
    return isinstance(value, str) and not PEM.fullmatch(value)
