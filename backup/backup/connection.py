"""Sessions with a server, for this program and for PostgreSQL's own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

import psycopg

from backup.error import StopError
from backup.url import Postgres

NAME = "scaffold-backup"

# What decides how a value is written as text: the same on both servers, whatever they or their roles have set.
PINNED = {
    "search_path": "",
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "quote_all_identifiers": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "row_security": "off",
    # One reader of a database that serves meanwhile, not one for each of its processors.
    "max_parallel_workers_per_gather": "0",
}

Session = psycopg.Connection[tuple[object, ...]]


class Access(NamedTuple):
    """How a child process reaches a server: libpq's connection string, the environment, and what it inherits."""

    conninfo: str
    environ: dict[str, str]
    descriptors: tuple[int, ...]


def connect(target: Postgres) -> Session:
    """Return a session in autocommit with text output pinned; raise StopError when it does not come about."""
    keywords = {
        "connect_timeout": "10",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "6",
        **target.keywords,
        "application_name": NAME,
    }
    try:
        session = psycopg.connect("", autocommit=True, password=target.password, **keywords)  # type: ignore[arg-type]
    except psycopg.Error as error:
        raise StopError(
            f"cannot connect to {target!r}: {words(error)}. Look whether the server runs, and at the URL"
        ) from None
    for name, value in PINNED.items():
        session.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
    # A server that has it ends a session that idles, and this one idles while the dump is written.
    session.execute(
        "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings"
        " WHERE name IN ('idle_session_timeout', 'transaction_timeout')"
    )
    return session


def words(error: BaseException) -> str:
    """Return an error's first words in one line, without the server's context, which may quote data."""
    first = str(error).split("\nCONTEXT:", 1)[0].split("\nDETAIL:", 1)[0]
    return " ".join(first.split()).rstrip(".") or type(error).__name__


@contextlib.contextmanager
def access(target: Postgres) -> Iterator[Access]:
    """Lend what a child process needs; the password is in a file that exists in memory only, for it alone."""
    environ = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "PGAPPNAME": NAME}
    if target.password is None:
        yield Access(target.conninfo(), environ, ())
        return
    descriptor = os.memfd_create("passfile")
    try:
        os.fchmod(descriptor, 0o600)
        escaped = target.password.replace("\\", "\\\\").replace(":", "\\:")
        os.write(descriptor, f"*:*:*:*:{escaped}\n".encode())
        environ["PGPASSFILE"] = f"/proc/self/fd/{descriptor}"
        yield Access(target.conninfo(), environ, (descriptor,))
    finally:
        os.close(descriptor)
