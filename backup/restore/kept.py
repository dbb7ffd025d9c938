"""The databases that were live before: which are kept, and which go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from restore.journal import Record


class Kept(NamedTuple):
    """A database that was live before: its name, its number, which job put it aside and when, and a count of writes."""

    job: str
    name: str
    oid: int
    at: float
    written: int = 0


def of(records: Iterable[Record]) -> list[Kept]:
    """Return what the journal knows to be kept, oldest first."""
    found: dict[int, Kept] = {}
    for record in records:
        if (record.step, record.phase) == ("journal", "begin"):
            found = {int(item["oid"]): Kept(**item) for item in record.data.get("kept", ())}
        elif (record.step, record.phase) == ("file", "done"):
            if record.data.get("used"):
                found.pop(int(record.data["used"]), None)
            if record.data.get("kept"):
                one = Kept(**record.data["kept"])
                found[one.oid] = one
        elif (record.step, record.phase) == ("prune", "done"):
            found.pop(int(record.data["oid"]), None)
    return sorted(found.values(), key=lambda one: one.at)


def surplus(found: Sequence[Kept], count: int, hours: float, now: float) -> list[Kept]:
    """Return those that go: all but the newest so many, and what is older than so many hours, where 0 is no limit."""
    newest = found[-count:]
    return [one for one in found if one not in newest or (hours and now - one.at > hours * 3600)]


def document(found: Iterable[Kept]) -> dict[str, Any]:
    """Return what a journal that is begun anew begins with."""
    return {"kept": [one._asdict() for one in found]}
