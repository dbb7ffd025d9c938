"""Who manages which field: moving what was written at creation to the manager that applies from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CREATOR = "pulumi-kubernetes"
# How the names of those begin who wrote before whoever applies did: the provider itself, without server-side apply,
# and the server for what was written before it took note of writers.
CREATORS = (CREATOR, "pulumi-resource-kubernetes")
PREDECESSORS = (*CREATORS, "before-first-apply")

Entry = dict[str, Any]
Fields = dict[str, Any]


def handed_over(entries: Sequence[Entry], manager: str) -> list[Entry] | None:
    """Return the entries of `metadata.managedFields` after creation's and kubectl's moved to `manager`.

    None when there is nothing to move. Entries of a subresource stay with whoever wrote it.
    """
    moving = [entry for entry in entries if _moves(entry, manager)]
    if not moving:
        return None
    applied = next((entry for entry in entries if _is_applied_by(entry, manager)), None)
    fields: Fields = dict(applied.get("fieldsV1") or {}) if applied else {}
    for entry in moving:
        fields = union(fields, entry.get("fieldsV1") or {})
    newest = moving[-1]
    ours = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": newest.get("apiVersion"),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    if newest.get("time"):
        ours["time"] = newest["time"]
    return [ours, *(entry for entry in entries if not _moves(entry, manager) and entry is not applied)]


def _moves(entry: Mapping[str, Any], manager: str) -> bool:
    if entry.get("subresource") or _is_applied_by(entry, manager):
        return False
    name = str(entry.get("manager", ""))
    return name.startswith("kubectl") or (entry.get("operation") == "Update" and name.startswith(PREDECESSORS))


def _is_applied_by(entry: Mapping[str, Any], manager: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource")


def union(one: Mapping[str, Any], other: Mapping[str, Any]) -> Fields:
    """Return the fields that are in either of two trees of the form FieldsV1."""
    joined: Fields = dict(one)
    for key, value in other.items():
        known = joined.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        joined[key] = union(known, value) if both and known is not None else value
    return joined


def others_own(entries: Sequence[Entry], manager: str, path: Sequence[str]) -> bool:
    """Say whether managers other than ours, and other than its predecessors, own a field alone."""
    holders = [entry for entry in entries if _holds(entry.get("fieldsV1") or {}, path)]
    return bool(holders) and not any(_is_applied_by(entry, manager) or _moves(entry, manager) for entry in holders)


def is_as_created(live: Mapping[str, Any]) -> bool:
    """Say whether part of an object is still its creator's: no update has moved it to whoever applies."""
    names = (str(entry.get("manager", "")) for entry in _entries(live) if entry.get("operation") == "Update")
    return any(name.startswith(CREATORS) for name in names)


def is_of_nobody(live: Mapping[str, Any]) -> bool:
    """Say whether an object knows no managers, being older than they are."""
    return not _entries(live)


def _entries(live: Mapping[str, Any]) -> Sequence[Entry]:
    found: Sequence[Entry] = (live.get("metadata") or {}).get("managedFields") or []
    return found


def _holds(fields: Mapping[str, Any], path: Sequence[str]) -> bool:
    found: Any = fields
    for name in path:
        if not isinstance(found, dict) or f"f:{name}" not in found:
            return False
        found = found[f"f:{name}"]
    return True
