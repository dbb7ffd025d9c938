"""The server's databases: which there are, making, shutting and dropping one, and exchanging the names of two."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import psycopg

from backup import connection, fault, reading, source, sql
from backup.connection import Session, words
from backup.error import StopError
from backup.proof import localised
from backup.source import Source
from backup.url import Postgres
from restore.error import TransientError

# Advisory locks are per database, and the live one is replaced.
MAINTENANCE = "postgres"
LONGEST_NAME = 63
STATEMENT_SECONDS = 900
SHUT_SECONDS = 20.0
# Each waits for some seconds for what is in the databases to end.
SWAP_TRIES = 4
POLL_SECONDS = 0.02
ENDING = ("57P01", "57P02", "57P03")

ABOUT = """
SELECT d.oid::bigint, d.datallowconn, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), to_jsonb(d)
FROM pg_database d WHERE d.datname = %s
"""
# The server's own workers are nobody's sessions: it ends them itself when a name changes.
SESSIONS = """
SELECT pid, coalesce(usename, '') FROM pg_stat_activity
WHERE datid = %s AND pid <> ALL (%s) AND coalesce(usesysid, 0) <> 0
"""


class Found(NamedTuple):
    """A database that is there."""

    oid: int
    open: bool
    owner: str
    encoding: str
    about: dict[str, Any]


def name(database: str, kind: str, job: str) -> str:
    """Return what a job calls a database beside the live one, however long that one's name is."""
    tail = f"__{kind}_{job}"
    head = database.encode()[: LONGEST_NAME - len(tail)].decode("utf-8", "ignore")
    return head + tail


def at(target: Postgres, database: str) -> Postgres:
    """Return the way into another database of the same server."""
    return Postgres({**target.keywords, "dbname": database}, target.password)


def gone(error: psycopg.Error, session: Session) -> bool:
    """Tell whether an error means that the server or the way to it is gone, and not that it refused."""
    state = error.sqlstate
    return session.broken or session.closed or state is None or state.startswith("08") or state in ENDING


@contextlib.contextmanager
def session(target: Postgres, database: str = MAINTENANCE) -> Iterator[Session]:
    """Lend a session; raise TransientError when the server is not there or goes away, StopError when it refuses."""
    try:
        opened = connection.connect(at(target, database))
    except StopError as error:
        raise TransientError(str(error)) from None
    with contextlib.closing(opened):
        try:
            opened.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
            yield opened
        except psycopg.Error as error:
            if gone(error, opened):
                raise TransientError(f"the server was lost: {words(error)}") from None
            raise StopError(f"the server refused: {words(error)}") from None


def about(server: Session, names: Iterable[str]) -> dict[str, Found]:
    """Return those of the named databases that are there."""
    found = {}
    for database in names:
        row: Any = server.execute(ABOUT, (database,)).fetchone()
        if row is not None:
            found[database] = Found(int(row[0]), bool(row[1]), str(row[2]), str(row[3]), dict(row[4]))
    return found


def create(server: Session, database: str, owner: str, like: Found | None) -> int:
    """Make an empty database that nobody may enter yet, in the locale of another one, and return its number."""
    place = ""
    if like is not None:
        origin = Source(
            version_number=0, version="", encoding=like.encoding, **source.locale(like.about), identifier="",
            schemas=(), roles=(), extensions=(),
        )  # fmt: skip
        place = f" ENCODING {sql.string(like.encoding)} {localised(origin)}"
    quoted = sql.name(database)
    server.execute(f"CREATE DATABASE {quoted} OWNER {sql.name(owner)} TEMPLATE template0{place}".encode())
    server.execute(f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC".encode())
    return about(server, [database])[database].oid


def drop(server: Session, database: str, oid: int) -> None:
    """Drop a database, if it is the one of that number, with whoever is in it."""
    found = about(server, [database]).get(database)
    if found is not None and found.oid == oid:
        server.execute(f"DROP DATABASE {sql.name(database)} WITH (FORCE)".encode())


def let_in(server: Session, database: str, allowed: bool) -> None:
    """Open a database to whoever has the right, or shut it to everybody, superusers too."""
    server.execute(f"ALTER DATABASE {sql.name(database)} ALLOW_CONNECTIONS {str(allowed).lower()}".encode())


def empty(server: Session, oid: int, keep: tuple[int, ...] = (), seconds: float = SHUT_SECONDS) -> int:
    """End every session in a shut database but those kept, and return how many there were.

    Raise StopError that names those that stay: nobody but a superuser ends a superuser's.
    """
    deadline = time.monotonic() + seconds
    ended: set[int] = set()
    while True:
        there: list[Any] = server.execute(SESSIONS, (oid, list(keep))).fetchall()
        if not there:
            break
        for pid, _ in there:
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                server.execute("SELECT pg_terminate_backend(%s)", (pid,))
                ended.add(pid)
        if time.monotonic() > deadline:
            listed = ", ".join(f"{user or 'somebody'} (process {pid})" for pid, user in there)
            raise StopError(f"sessions stay in the database: {listed}. End them, then put the file in again")
        time.sleep(POLL_SECONDS)
    waiting: Any = server.execute(
        "SELECT count(*) FROM pg_prepared_xacts p JOIN pg_database d ON d.datname = p.database WHERE d.oid = %s", (oid,)
    ).fetchone()
    if waiting[0]:
        raise StopError(
            f"{waiting[0]} prepared transactions wait in the database: COMMIT PREPARED or ROLLBACK PREPARED them"
        )
    return len(ended)


class Swap(NamedTuple):
    """Which database gets the live name, and which one has to give it up; number 0 stands for none."""

    live: str
    old: int
    aside: str
    incoming: str
    new: int


def swap(server: Session, asked: Swap) -> None:
    """Exchange the names; a worker of the server's own that is in one of the databases is waited for."""
    for left in reversed(range(SWAP_TRIES)):
        try:
            exchange(server, asked)
        except psycopg.errors.ObjectInUse:
            if not left:
                raise
            for oid in filter(None, (asked.old, asked.new)):
                empty(server, oid)
        else:
            return


def exchange(server: Session, asked: Swap) -> None:
    """Give both databases their new names in one transaction: after it, and after any crash, it is both or none."""
    with server.transaction():
        if asked.old:
            rename(server, asked.live, asked.aside)
        fault.point("swap:between")
        rename(server, asked.incoming, asked.live)
        numbers = {database: found.oid for database, found in about(server, (asked.live, asked.aside)).items()}
        wanted = {asked.live: asked.new, **({asked.aside: asked.old} if asked.old else {})}
        if numbers != wanted:
            raise StopError(
                f"databases were renamed by somebody else: got {numbers}, wanted {wanted}. Nothing was changed"
            )
        fault.point("swap:renamed")
    fault.point("swap:committed")


def rename(server: Session, old: str, new: str) -> None:
    """Give a database another name."""
    server.execute(f"ALTER DATABASE {sql.name(old)} RENAME TO {sql.name(new)}".encode())


def available(server: Session, names: Iterable[str]) -> Mapping[str, bool]:
    """Return those of the named extensions that the server has, and whether their makers trust anybody with them."""
    rows: list[Any] = server.execute(
        "SELECT name, bool_or(trusted) FROM pg_available_extension_versions WHERE name = ANY (%s) GROUP BY name",
        (list(names),),
    ).fetchall()
    return {str(row[0]): bool(row[1]) for row in rows}


def installed(server: Session) -> list[reading.Extension]:
    """Return the extensions of the session's database."""
    return reading.extensions(server)
