"""What is in a database: rows and a hash of each table, sequences, large objects, extensions, other objects."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """One table: how many rows it has, and a hash of them that does not depend on their order."""

    name: str
    rows: int
    hash: str


@dataclass(frozen=True)
class Sequence:
    """One sequence, as it was before and after the dump was written: sequences heed no snapshot."""

    name: str
    low: str
    high: str


@dataclass(frozen=True)
class Contents:
    """What a database holds, as far as it is compared with what a backup of it restores to."""

    tables: tuple[Table, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    extensions: dict[str, str] = field(default_factory=dict)
    large_objects: int = 0
    large_objects_hash: str = ""
    objects: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(table.rows for table in self.tables)

    def document(self) -> dict[str, Any]:
        """Return the contents as the manifest has them."""
        lists = {
            "tables": [asdict(item) for item in self.tables],
            "sequences": [asdict(item) for item in self.sequences],
        }
        return {**asdict(self), **lists}


def from_document(document: dict[str, Any]) -> Contents:
    """Return the contents that a manifest tells of."""
    return Contents(
        tables=tuple(Table(**item) for item in document["tables"]),
        sequences=tuple(Sequence(**item) for item in document["sequences"]),
        extensions=dict(document["extensions"]),
        large_objects=int(document["large_objects"]),
        large_objects_hash=str(document["large_objects_hash"]),
        objects={name: int(count) for name, count in document["objects"].items()},
    )


def differences(wanted: Contents, got: Contents) -> list[str]:
    """Return in words where restored contents are not those of the original; empty when they are."""
    found: list[str] = []
    theirs = {table.name: table for table in got.tables}
    for table in wanted.tables:
        other = theirs.pop(table.name, None)
        if other is None:
            found.append(f"table {table.name} is missing")
        elif other.rows != table.rows:
            found.append(f"table {table.name} has {other.rows} rows, wanted {table.rows}")
        elif other.hash != table.hash:
            found.append(f"table {table.name} has {table.rows} rows, but other values in them")
    found += [f"table {name} is there, but not in the original" for name in theirs]
    found += sequence_differences(wanted.sequences, got.sequences)
    if got.large_objects != wanted.large_objects:
        found.append(f"{got.large_objects} large objects, wanted {wanted.large_objects}")
    elif got.large_objects_hash != wanted.large_objects_hash:
        found.append("large objects have other contents")
    # A dump asks for an extension in whatever version there is, so another one is no fault of the backup.
    found += [f"extension {name} is missing" for name in wanted.extensions if name not in got.extensions]
    found += [
        f"{got.objects.get(kind, 0)} {kind}, wanted {wanted.objects.get(kind, 0)}"
        for kind in sorted({*wanted.objects, *got.objects})
        if got.objects.get(kind, 0) != wanted.objects.get(kind, 0)
    ]
    return found


def sequence_differences(wanted: tuple[Sequence, ...], got: tuple[Sequence, ...]) -> list[str]:
    """Return which sequences are not between what they were before and after the dump."""
    found = []
    theirs = {sequence.name: sequence for sequence in got}
    for sequence in wanted:
        other = theirs.pop(sequence.name, None)
        if other is None:
            found.append(f"sequence {sequence.name} is missing")
        elif sequence.low == sequence.high and other.low != sequence.low:
            found.append(f"sequence {sequence.name} is at {other.low}, wanted {sequence.low}")
        elif not within(other.low, sequence.low, sequence.high):
            found.append(f"sequence {sequence.name} is at {other.low}, wanted from {sequence.low} to {sequence.high}")
    found += [f"sequence {name} is there, but not in the original" for name in theirs]
    return found


def within(value: str, low: str, high: str) -> bool:
    """Tell whether a sequence's value lies between two others; one that went back meanwhile can be anywhere."""
    now, first, last = (int(text.rstrip("+")) for text in (value, low, high))
    return last < first or first <= now <= last
