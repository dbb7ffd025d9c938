"""The schema steps that a release knows, in their order, and which of them break the release before."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pulumi

from infra import migrations


@dataclass(frozen=True)
class Step:
    """A revision of the schema, and whether a release that does not know it can live with it."""

    revision: str
    compatible: bool


def of(folder: Path) -> tuple[Step, ...]:
    """Return the steps of a folder of migrations, oldest first; raise RunError naming all that is wrong with them."""
    try:
        migrations.head(folder)
        found = migrations.read(folder)
    except migrations.MigrationsError as error:
        problems = "\n".join(f"  - {problem}" for problem in error.problems)
        raise pulumi.RunError(f"the app's migrations cannot be used; nothing was changed:\n{problems}") from error
    order = TopologicalSorter({revision: found[revision].follows for revision in sorted(found)}).static_order()
    return tuple(Step(revision, found[revision].compatible) for revision in order)
