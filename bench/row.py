"""A row of the table: what was measured, what it should be, what it is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure with its bound; `least` tells a floor from a ceiling."""

    what: str
    measured: float
    bound: float
    unit: str
    how: str
    least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the figure keeps its bound."""
        return self.measured >= self.bound if self.least else self.measured <= self.bound

    def cells(self) -> list[str]:
        """Return the row's cells for a Markdown table."""
        sign = "≥" if self.least else "≤"
        return [
            self.what,
            f"{sign} {self.bound:g} {self.unit}".strip(),
            f"{self.measured:.3g} {self.unit}".strip(),
            "yes" if self.reached else "**no**",
            self.how,
        ]


def spread(values: Sequence[float]) -> str:
    """Return median, least and most of some values."""
    return f"median {statistics.median(values):.3g}, {min(values):.3g} to {max(values):.3g}, n={len(values)}"
