"""What the ledger says about deployments, and what an event changes in it: decided from its rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Step = Literal["upgrade", "downgrade"]
Outcome = Literal[
    "migrating",
    "migrated",
    "migration failed",
    "interrupted",
    "serving",
    "replaced",
    "not taken",
    "downgrading",
    "downgraded",
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

UNDER_WAY: dict[Step, Outcome] = {"upgrade": "migrating", "downgrade": "downgrading"}
DONE: dict[Step, Outcome] = {"upgrade": "migrated", "downgrade": "downgraded"}
ENDED: tuple[Outcome, ...] = ("migration failed", "interrupted", "replaced", "not taken", "downgraded")
# Those of a deployment whose migration succeeded.
DEPLOYED: tuple[Outcome, ...] = ("migrated", "not taken", "serving", "replaced")
# Those that say where a migration left the schema.
LEFT_THE_SCHEMA: tuple[Outcome, ...] = ("migrated", "migration failed", "interrupted", "downgraded")


@dataclass(frozen=True)
class Row:
    """A deployment as the ledger has it; a later one has a higher id."""

    id: int
    release: str
    outcome: str


@dataclass(frozen=True)
class Change:
    """A row's new outcome; without an id, a row to be added."""

    id: int | None
    outcome: Outcome


def newest_of(rows: Sequence[Row], release: str) -> Row | None:
    """Return the newest row of a release whose migration succeeded; a failed one after it changes nothing."""
    own = [row for row in rows if row.release == release and row.outcome in DEPLOYED]
    return max(own, key=lambda row: row.id, default=None)


def interrupted(rows: Sequence[Row]) -> list[Change]:
    """Close what is under way: whoever asks holds the lock, so its process is gone, and its transaction with it."""
    return [Change(row.id, "interrupted") for row in rows if row.outcome in UNDER_WAY.values()]


def begin(rows: Sequence[Row], release: str, step: Step, *, needed: bool) -> list[Change]:
    """Return what a migration that begins changes; `needed` says whether it has anything to do.

    One that has nothing to do adds no row for a release that is migrated or serving already: it was run once more.
    """
    newest = newest_of(rows, release)
    known = newest is not None and newest.outcome in ("migrated", "serving")
    if step == "upgrade" and not needed and known:
        return interrupted(rows)
    return [*interrupted(rows), Change(None, UNDER_WAY[step])]


def end(rows: Sequence[Row], step: Step, *, succeeded: bool) -> list[Change]:
    """Return what a migration that ends changes; the row of one that made the ledger is added only now."""
    outcome: Outcome = DONE[step] if succeeded else "migration failed"
    running = [row for row in rows if row.outcome == UNDER_WAY[step]]
    return [Change(row.id, outcome) for row in running] or [Change(None, outcome)]


def serve(rows: Sequence[Row], release: str) -> list[Change]:
    """Return what is changed by a release that serves: its newest row says so, and every other open one is closed.

    A release without a row that could say so gets a new one: what serves is a fact, whatever was written before.
    """
    newest = newest_of(rows, release)
    changes = interrupted(rows)
    for row in rows:
        if newest is not None and row.id == newest.id:
            continue
        if row.outcome == "serving":
            changes.append(Change(row.id, "replaced"))
        elif row.outcome == "migrated":
            changes.append(Change(row.id, "not taken"))
    if newest is None or newest.outcome == "replaced":
        changes.append(Change(None, "serving"))
    elif newest.outcome != "serving":
        changes.append(Change(newest.id, "serving"))
    return changes
