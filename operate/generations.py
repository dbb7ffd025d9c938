"""The volumes that a stack's database was and is on, as its settings name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from operate.request import Request
from operate.stack import Stack

ACTIVE = "databaseVolume"
KEPT = "databaseVolumesKept"
RESTORE = "databaseRestore"
FIRST = "database"
ARCHIVE = "archive"


@dataclass(frozen=True)
class Generations:
    """The one in use, the others that are kept, and what is filled, as the setting has it."""

    active: str
    kept: tuple[str, ...]
    restore: str

    @property
    def every(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys((*self.kept, self.active)))

    def next(self) -> str:
        """Return the name of a volume that none has had."""
        numbers = [int(name.rpartition("-")[2]) for name in self.every if name.rpartition("-")[2].isdigit()]
        return f"{FIRST}-{max([1, *numbers]) + 1}"


def of(request: Request) -> Generations:
    """Return a stack's generations."""
    return Generations(
        active=request.setting(ACTIVE) or FIRST,
        kept=tuple((request.setting(KEPT) or "").split()),
        restore=request.setting(RESTORE) or "",
    )


def write(stack: Stack, before: Generations, wanted: Generations) -> None:
    """Write what differs into the stack's settings."""
    if wanted.kept != before.kept:
        put(stack, KEPT, " ".join(wanted.kept))
    if wanted.restore != before.restore:
        put(stack, RESTORE, wanted.restore)
    if wanted.active != before.active:
        put(stack, ACTIVE, "" if wanted.active == FIRST else wanted.active)


def put(stack: Stack, key: str, value: str) -> None:
    """Set a setting, or take it out where it is to be nothing."""
    if value:
        stack.set(key, value)
    else:
        stack.unset(key)


def end_restore(request: Request, stack: Stack) -> None:
    """Take the restore out of the settings once it is done: a volume that is lost later wants another one."""
    if request.setting(RESTORE):
        stack.unset(RESTORE)


def is_on(resources: Sequence[dict[str, Any]], volume: str) -> bool:
    """Return whether the state has the database's container, or its pods, on that volume."""
    for each in resources:
        kind, name = str(each.get("type")), str(each.get("urn", "")).rpartition("::")[2]
        if name == FIRST and kind.endswith((":Container", ":StatefulSet")):
            return volume in names_in(each.get("inputs") or {})
    return False


def names_in(inputs: dict[str, Any]) -> set[str]:
    """Return the names of the database's volumes that a container's or a StatefulSet's inputs mount."""
    found = {str(row.get("volumeName", "")) for row in inputs.get("volumes") or []}
    template = ((inputs.get("spec") or {}).get("template") or {}).get("spec") or {}
    for row in template.get("volumes") or []:
        found.add(str((row.get("persistentVolumeClaim") or {}).get("claimName", "")))
    return {FIRST + name.rpartition(FIRST)[2] for name in found if FIRST in name}


def urn_of(resources: Sequence[dict[str, Any]], volume: str) -> str:
    """Return the state's name of a volume, or nothing where it knows none such."""
    names = (f"volume-{volume}", f"claim-{volume}")
    for each in resources:
        if str(each.get("urn", "")).rpartition("::")[2] in names:
            return str(each["urn"])
    return ""
