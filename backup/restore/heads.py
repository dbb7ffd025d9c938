"""Which revision of the app's schema a database is at, and what that means for the release that runs."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import psycopg

from backup.connection import Session

Fit = Literal["same", "behind", "ahead", "none"]

# A plain table of the server's own types, so that reading it runs nothing that sits in the database.
PLAIN = """
SELECT c.oid FROM pg_class c WHERE c.oid = to_regclass(%s) AND c.relkind = 'r' AND NOT c.relrowsecurity
    AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.atttypid >= 16384 OR a.attgenerated <> ''))
"""


# One that has migrated and does not serve yet is in the middle of an update, which will not migrate a second time.
LAST = "WHERE outcome IN ('serving', 'migrated') ORDER BY id DESC LIMIT 1"


class Schema(NamedTuple):
    """Where a schema is, by which steps it came there, which release made each, and which one migrated last."""

    head: str = ""
    steps: dict[str, tuple[str, str]] = {}  # noqa: RUF012 - never changed
    release: str = ""
    left_by: dict[str, str] = {}  # noqa: RUF012 - never changed
    """The newest release that left the schema at a revision, which may not be there any more."""


def read(session: Session) -> Schema:
    """Return the schema's revision, what is known of the steps to it, and the release whose migrations ran last."""
    heads = column(session, "alembic_version", "version_num")
    steps = column(session, "schema_steps", "revision, coalesce(follows, ''), release")
    last = column(session, "releases", "release", LAST)
    left = column(session, "releases", "schema_after, release", "WHERE schema_after IS NOT NULL ORDER BY id")
    return Schema(
        head=",".join(sorted(str(row[0]) for row in heads)),
        steps={str(row[0]): (str(row[1]), str(row[2])) for row in steps},
        release=str(last[0][0]) if last else "",
        left_by={str(row[0]): str(row[1]) for row in left},
    )


def column(session: Session, table: str, columns: str, condition: str = "") -> list[Any]:
    """Return some columns of a table; nothing where it is not there or not what it seems."""
    try:
        with session.transaction():
            if session.execute(PLAIN.encode(), (f"public.{table}",)).fetchone() is None:
                return []
            return session.execute(f"SELECT {columns} FROM ONLY public.{table} {condition}".encode()).fetchall()  # noqa: S608
    except (psycopg.errors.UndefinedColumn, psycopg.errors.InsufficientPrivilege):
        return []


def fit(found: str, live: Schema) -> Fit:
    """Decide what a file's revision is to the live database's."""
    if not live.head or found == live.head:
        return "same"
    if not found:
        return "none"
    seen: set[str] = set()
    at = live.steps.get(live.head, ("", ""))[0]
    while at and at not in seen:
        if at == found:
            return "behind"
        seen.add(at)
        at = live.steps.get(at, ("", ""))[0]
    return "ahead"
