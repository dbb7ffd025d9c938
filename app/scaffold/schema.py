"""The database's schema against this image: which revisions it brings, and which later ones it can work with."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Boolean, DateTime, String, func, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from .database import Model

DIRECTORY = Path(__file__).resolve().parent.parent / "migrations"

ADD_THE_LINE = (
    "wanted the line `compatible = True` when the release before this one still works on the changed schema, "
    "else `compatible = False`: add it below `depends_on`"
)


class SchemaStep(Model):
    """A revision that was applied, what it follows, and whether code made for what it follows still works on it.

    It is in the database so that an image can tell about revisions that were written after it was built.
    """

    __tablename__ = "schema_steps"

    revision: Mapped[str] = mapped_column(String(32), primary_key=True)
    follows: Mapped[str | None] = mapped_column(String(32))
    compatible: Mapped[bool] = mapped_column(Boolean)
    release: Mapped[str] = mapped_column(String(128))
    applied_at: Mapped[object] = mapped_column(DateTime(timezone=True), server_default=func.now())


@dataclass(frozen=True)
class Fit:
    """Whether the code can work with the schema, and why."""

    ready: bool
    words: str


def assigned(source: str, names: tuple[str, ...]) -> dict[str, object]:
    """Return the plain values that a module assigns to the names, without running it."""
    found: dict[str, object] = {}
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id in names and isinstance(node, ast.Assign | ast.AnnAssign):
            found[target.id] = ast.literal_eval(node.value) if node.value is not None else None
    return found


def undeclared(directory: Path = DIRECTORY) -> list[str]:
    """Say for each revision that lacks its word on compatibility which line it wants, and where."""
    problems = []
    for path in sorted((directory / "versions").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        try:
            declared = isinstance(assigned(source, ("compatible",)).get("compatible"), bool)
        except (ValueError, SyntaxError):
            declared = False
        if not declared:
            problems.append(f"{directory.name}/versions/{path.name}: {ADD_THE_LINE}")
    return problems


def links(directory: Path = DIRECTORY) -> dict[str, tuple[str, ...]]:
    """Return each revision with those it follows; reads the files, as importing Alembic costs every start."""
    found: dict[str, tuple[str, ...]] = {}
    for path in (directory / "versions").glob("*.py"):
        values = assigned(path.read_text(encoding="utf-8"), ("revision", "down_revision"))
        before = values.get("down_revision")
        found[str(values["revision"])] = (before,) if isinstance(before, str) else tuple(before or ())  # type: ignore[arg-type]
    return found


def heads(directory: Path = DIRECTORY) -> frozenset[str]:
    """Return the revisions that no other one follows."""
    all_links = links(directory)
    return frozenset(all_links) - {before for follows in all_links.values() for before in follows}


def fit(present: str | None, ours: frozenset[str], steps: Mapping[str, tuple[str | None, bool]]) -> Fit:
    """Decide whether code whose newest revisions are `ours` can work with the schema at `present`.

    `steps` maps a revision to what it follows and whether it is compatible with that.
    """
    if present is None:
        return Fit(False, "the database has no schema yet")
    if present in ours:
        return Fit(True, f"the schema is at {present}")
    seen: set[str] = set()
    at: str | None = present
    while at is not None and at in steps and at not in seen:
        seen.add(at)
        follows, compatible = steps[at]
        if not compatible:
            break
        if follows in ours:
            return Fit(True, f"the schema is at {present}, which is newer and compatible")
        at = follows
    return Fit(False, f"the schema is at {present}, this image needs {' and '.join(sorted(ours))}")


def is_missing(error: DBAPIError) -> bool:
    """Tell whether a statement failed because its table is not there."""
    return getattr(error.orig, "sqlstate", None) == "42P01" or "no such table" in str(error.orig)


def steps_of(connection: Connection) -> dict[str, tuple[str | None, bool]]:
    """Return every applied revision with what it follows and whether it is compatible with that."""
    rows = connection.execute(select(SchemaStep.revision, SchemaStep.follows, SchemaStep.compatible))
    return {revision: (follows, compatible) for revision, follows, compatible in rows}


def leads_to(present: str, wanted: str, steps: Mapping[str, tuple[str | None, bool]]) -> bool:
    """Tell whether going back step by step from `present` comes by the wanted revision."""
    seen: set[str] = set()
    at: str | None = present
    while at is not None and at != wanted and at not in seen:
        seen.add(at)
        at = steps[at][0] if at in steps else None
    return at == wanted


def maker_of(connection: Connection, revision: str) -> str | None:
    """Return the release that applied a revision, where that is known."""
    try:
        return connection.scalar(select(SchemaStep.release).where(SchemaStep.revision == revision))
    except DBAPIError as error:
        if is_missing(error):
            connection.rollback()
            return None
        raise


def present(connection: Connection) -> list[str]:
    """Return the revisions that the database is at."""
    return sorted(connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all())


def check(connection: Connection, ours: frozenset[str]) -> Fit:
    """Ask the database for its revision and decide whether this image fits it."""
    try:
        found = present(connection)
        known = bool(found) and all(version in ours for version in found)
        steps = {} if known or not found else steps_of(connection)
    except DBAPIError as error:
        if is_missing(error):
            return fit(None, ours, {})
        raise
    if not found:
        return fit(None, ours, {})
    fits = [fit(version, ours, steps) for version in found]
    return next((one for one in fits if not one.ready), fits[0])
