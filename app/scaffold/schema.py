"""The database's schema against this image: which revisions it brings, and which later ones it can work with."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Boolean, DateTime, String, func, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from .database import Model

DIRECTORY = Path(__file__).resolve().parent.parent / "migrations"


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


def check(connection: Connection, ours: frozenset[str]) -> Fit:
    """Ask the database for its revision and decide whether this image fits it."""
    try:
        versions: Iterable[str] = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        found = sorted(versions)
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
