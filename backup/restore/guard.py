"""Keeps the loader's role as it is: a role may change its own password and settings, and so may what a dump brings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from backup import connection, line, sql
from backup.connection import Session
from backup.error import StopError
from backup.url import Postgres

SETTINGS = """SELECT coalesce(d.datname, ''), s.setconfig::text FROM pg_catalog.pg_db_role_setting s
    JOIN pg_catalog.pg_roles r ON r.oid = s.setrole LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
    WHERE r.rolname = session_user ORDER BY 1"""


@contextlib.contextmanager
def held(target: Postgres) -> Iterator[None]:
    """Set back, at the end of the block, what was done to the role in it."""
    session = connection.connect(target)
    try:
        before = settings(session)
        try:
            yield
        finally:
            mend(session, target, before)
    finally:
        session.close()


def settings(session: Session) -> list[tuple[object, ...]]:
    """Return what the role has set, everywhere and per database."""
    return list(session.execute(SETTINGS.encode()).fetchall())


def mend(session: Session, target: Postgres, before: list[tuple[object, ...]]) -> None:
    """Set back the settings and the password where they are not what they were, and say so."""
    try:
        after = settings(session)
        if after != before:
            line.say("warning", "the file has changed settings of the loader's role: they are set back")
            for database, _ in after:
                within = f" IN DATABASE {sql.name(str(database))}" if database else ""
                session.execute(f"ALTER ROLE SESSION_USER{within} RESET ALL".encode())
        if not lets_in(target):
            line.say("warning", "the file has changed the password of the loader's role: it is set back")
            user, password = target.keywords["user"].encode(), (target.password or "").encode()
            kept = session.pgconn.encrypt_password(password, user, b"scram-sha-256").decode()
            session.execute(f"ALTER ROLE SESSION_USER PASSWORD {sql.string(kept)}".encode())
    except psycopg.Error as error:
        line.say(
            "error",
            "whether the loader's role is as it was could not be seen to: "
            f"{connection.words(error)}. If it cannot sign in any more, set its password anew",
        )


def lets_in(target: Postgres) -> bool:
    """Tell whether the server lets the role in."""
    try:
        connection.connect(target).close()
    except StopError as error:
        return "password" not in str(error)
    return True
