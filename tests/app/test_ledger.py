"""The ledger's decisions: what each event changes, and what holds after any events in any order."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from scaffold import ledger
from scaffold.ledger import Change, Row

RELEASES = st.sampled_from(["a", "b", "c"])
STEPS = st.sampled_from(["upgrade", "downgrade"])

# Every way from one outcome to the next; what is not here must never happen.
WAYS = {
    ("migrating", "migrated"),
    ("migrating", "migration failed"),
    ("migrating", "interrupted"),
    ("downgrading", "downgraded"),
    ("downgrading", "migration failed"),
    ("downgrading", "interrupted"),
    ("migrated", "serving"),
    ("migrated", "not taken"),
    ("not taken", "serving"),
    ("serving", "replaced"),
}
BEGINNINGS = {"migrating", "downgrading", "migrated", "serving", "migration failed"}


def rows(*outcomes: tuple[str, str]) -> list[Row]:
    """Return rows, oldest first."""
    return [Row(number, release, outcome) for number, (release, outcome) in enumerate(outcomes, 1)]


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ([("a", "migrated")], [Change(1, "serving")]),
        ([("a", "serving")], []),
        ([("a", "serving"), ("b", "migrated")], [Change(2, "not taken")]),
        ([], [Change(None, "serving")]),
        ([("b", "serving"), ("a", "migrated")], [Change(1, "replaced"), Change(2, "serving")]),
        ([("a", "replaced"), ("b", "serving")], [Change(2, "replaced"), Change(None, "serving")]),
        ([("a", "serving"), ("a", "migrated")], [Change(1, "replaced"), Change(2, "serving")]),
        ([("a", "not taken"), ("b", "serving")], [Change(2, "replaced"), Change(1, "serving")]),
        ([("b", "migrated"), ("a", "migrated")], [Change(1, "not taken"), Change(2, "serving")]),
        ([("a", "migration failed")], [Change(None, "serving")]),
        ([("a", "serving"), ("a", "migration failed")], []),
        ([("a", "not taken"), ("a", "replaced"), ("b", "serving")], [Change(3, "replaced"), Change(None, "serving")]),
        ([("a", "migrating")], [Change(1, "interrupted"), Change(None, "serving")]),
        ([("a", "migrated"), ("a", "downgraded")], [Change(1, "serving")]),
    ],
)
def test_a_release_that_serves_is_the_only_one_and_its_newest_row_says_so(
    before: list[tuple[str, str]], changes: list[Change]
) -> None:
    assert ledger.serve(rows(*before), "a") == changes


@pytest.mark.parametrize(
    ("before", "needed", "changes"),
    [
        ([], True, [Change(None, "migrating")]),
        ([("a", "serving")], False, []),
        ([("a", "serving")], True, [Change(None, "migrating")]),
        ([("a", "migrated")], False, []),
        ([("a", "replaced"), ("b", "serving")], False, [Change(None, "migrating")]),
        ([("b", "serving")], False, [Change(None, "migrating")]),
        ([("b", "migrating")], True, [Change(1, "interrupted"), Change(None, "migrating")]),
        ([("b", "downgrading"), ("a", "serving")], False, [Change(1, "interrupted")]),
    ],
)
def test_a_migration_gets_a_row_unless_it_is_only_run_once_more(
    before: list[tuple[str, str]], needed: bool, changes: list[Change]
) -> None:
    assert ledger.begin(rows(*before), "a", "upgrade", needed=needed) == changes


@dataclass
class Book:
    """A ledger that changes are made to, as the database does it."""

    rows: dict[int, Row] = field(default_factory=dict)

    def apply(self, changes: list[Change], release: str) -> None:
        """Make the changes one by one; at most one row may say that it serves, at any moment."""
        for change in changes:
            if change.id is None:
                assert change.outcome in BEGINNINGS
                number = len(self.rows) + 1
                self.rows[number] = Row(number, release, change.outcome)
            else:
                row = self.rows[change.id]
                assert (row.outcome, change.outcome) in WAYS
                self.rows[change.id] = Row(row.id, row.release, change.outcome)
            assert len(self.with_outcome("serving")) <= 1

    def with_outcome(self, outcome: str) -> list[Row]:
        """Return the rows with an outcome."""
        return [row for row in self.rows.values() if row.outcome == outcome]


class Deployments(RuleBasedStateMachine):
    """Releases that migrate, fail, are killed and serve, in any order, one at a time as the lock makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.running: tuple[str, ledger.Step] | None = None

    @property
    def all(self) -> list[Row]:
        """The rows as they are read."""
        return list(self.book.rows.values())

    @rule(release=RELEASES, step=STEPS, needed=st.booleans())
    def begin(self, release: str, step: ledger.Step, needed: bool) -> None:
        """Begin a migration; one that was running before has been killed."""
        changes = ledger.begin(self.all, release, step, needed=needed)
        self.book.apply(changes, release)
        running = [row for row in self.all if row.outcome in ledger.UNDER_WAY.values()]
        assert len(running) == sum(change.id is None for change in changes) <= 1
        self.running = (release, step) if running else None

    @rule(succeeded=st.booleans())
    def end(self, succeeded: bool) -> None:
        """End the one that runs."""
        if self.running is None:
            return
        release, step = self.running
        changes = ledger.end(self.all, step, succeeded=succeeded)
        assert len(changes) == 1
        self.book.apply(changes, release)
        assert not [row for row in self.all if row.outcome in ledger.UNDER_WAY.values()]
        self.running = None

    @rule(release=RELEASES)
    def serve(self, release: str) -> None:
        """Say that a release serves; saying it again changes nothing."""
        self.book.apply(ledger.serve(self.all, release), release)
        self.running = None
        (serving,) = self.book.with_outcome("serving")
        assert serving.release == release
        later = {row.outcome for row in self.all if row.release == release and row.id > serving.id}
        assert later <= {"migration failed", "interrupted", "downgraded"}
        assert not {row.outcome for row in self.all} & {"migrating", "downgrading", "migrated"}
        assert ledger.serve(self.all, release) == []

    @invariant()
    def at_most_one_is_under_way(self) -> None:
        """The lock lets one migrate at a time, and the ledger never says otherwise."""
        assert len([row for row in self.all if row.outcome in ledger.UNDER_WAY.values()]) <= 1

    @invariant()
    def every_outcome_is_one_of_the_closed_set(self) -> None:
        """What the table's constraint takes is all that is ever written."""
        assert {row.outcome for row in self.all} <= set(ledger.OUTCOMES)


TestDeployments = Deployments.TestCase
TestDeployments.settings = settings(max_examples=150, stateful_step_count=30)
