"""The ledger of releases: a row for each deployment, written by the owner's role alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, Index, String, func, inspect, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Mapped, mapped_column

from . import ledger
from .database import Model
from .settings import Settings

LONGEST = 128


class Release(Model):
    """A deployment: what was to serve, which schema it found and left, when, by whom, and what became of it."""

    __tablename__ = "releases"

    id: Mapped[int] = mapped_column(primary_key=True)
    release: Mapped[str] = mapped_column(String(LONGEST))
    digest: Mapped[str | None] = mapped_column(String(2 * LONGEST))
    revision: Mapped[str | None] = mapped_column(String(LONGEST))
    started_by: Mapped[str | None] = mapped_column(String(LONGEST))
    bundle: Mapped[str | None] = mapped_column(String(LONGEST))
    schema_before: Mapped[str | None] = mapped_column(String(LONGEST))
    schema_after: Mapped[str | None] = mapped_column(String(LONGEST))
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    served_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    outcome: Mapped[str] = mapped_column(String(32))

    __table_args__ = (
        CheckConstraint("outcome IN (" + ", ".join(f"'{outcome}'" for outcome in ledger.OUTCOMES) + ")", "outcome"),
        Index(
            "uq_releases_serving",
            "outcome",
            unique=True,
            postgresql_where=text("outcome = 'serving'"),
            sqlite_where=text("outcome = 'serving'"),
        ),
    )


TABLE = Release.__table__
FIELDS = tuple(column.name for column in TABLE.columns)


def exists(connection: Connection) -> bool:
    """Tell whether the schema has the ledger: one of before it, or taken back to before it, has not."""
    return inspect(connection).has_table(Release.__tablename__)


def clock(connection: Connection) -> datetime:
    """Return the time, which is the server's where there is one: jobs run on machines with clocks of their own."""
    if connection.dialect.name == "postgresql":
        now: datetime = connection.scalars(select(func.clock_timestamp())).one()
        return now
    return datetime.now(UTC)


def schema_words(revisions: Iterable[str]) -> str | None:
    """Return the schema's revisions as the ledger has them."""
    return ", ".join(sorted(revisions))[:LONGEST] or None


def rows(connection: Connection) -> list[ledger.Row]:
    """Return what is decided from, and wait for a transaction that is just writing it."""
    found = connection.execute(select(Release.id, Release.release, Release.outcome).with_for_update()).all()
    return [ledger.Row(*row) for row in found]


def write(
    connection: Connection,
    settings: Settings,
    changes: Sequence[ledger.Change],
    *,
    before: str | None,
    after: str | None,
    began: datetime | None = None,
) -> None:
    """Make the changes; `before` and `after` are the schema's revisions, `began` is when an added row's work began."""
    at = clock(connection)
    for change in changes:
        values: dict[str, Any] = {"outcome": change.outcome}
        if change.outcome in ledger.LEFT_THE_SCHEMA or (change.id is None and change.outcome == "serving"):
            values["schema_after"] = after
        if change.outcome == "serving":
            values["served_at"] = at
        values["ended_at"] = at if change.outcome in ledger.ENDED else None
        if change.id is not None:
            connection.execute(TABLE.update().where(Release.id == change.id).values(**values))  # type: ignore[attr-defined]
            continue
        values |= {
            "release": settings.release,
            "digest": settings.release_digest,
            "revision": settings.release_revision,
            "started_by": settings.release_by,
            "bundle": settings.release_bundle,
            "schema_before": before,
            "started_at": began or at,
        }
        connection.execute(TABLE.insert().values(**values))  # type: ignore[attr-defined]


def newest(connection: Connection, count: int) -> list[dict[str, Any]]:
    """Return the newest rows, newest first, with their times in UTC."""
    found = connection.execute(select(TABLE).order_by(Release.id.desc()).limit(count)).mappings()
    return [{name: plain(value) for name, value in row.items()} for row in found]


def plain(value: Any) -> Any:
    """Return a value with its time in UTC; SQLite forgets the zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value
