"""What shows that a recovered cluster is worth being served: all of it is read, and the app's roles get in."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from server import line, psql, sql, wanted
from server.access import SUPERUSER
from server.error import StopError
from server.recovery import SOCKETS

READ_SECONDS = 86_400.0
SHORT_SECONDS = 120.0
ABOUT = """
SELECT json_build_object(
    'recovering', pg_is_in_recovery(),
    'timeline', (SELECT timeline_id FROM pg_control_checkpoint()),
    'databases', (SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database
                  WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'),
    'roles', (SELECT coalesce(json_agg(pg_get_userbyid(m.member) ORDER BY 1), '[]')
              FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
              WHERE pg_get_userbyid(m.roleid) = {group} AND r.rolcanlogin));
"""
TABLES = """
SELECT coalesce(json_agg(format('%I.%I', nspname, relname) ORDER BY 1), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE relkind IN ('r', 'm') AND relpersistence = 'p'
    AND nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema');
"""
BROKEN = "SELECT coalesce(json_agg(indexrelid::regclass ORDER BY 1), '[]') FROM pg_index WHERE NOT indisvalid;"
READABLE = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND {right};"
RIGHT = "has_table_privilege(oid, 'SELECT')"


class Proof(NamedTuple):
    """What was seen: the timeline, the rows of each database, how many tables, and who got in."""

    timeline: int
    rows: dict[str, int]
    tables: dict[str, int]
    roles: list[str]


def take(database: str) -> Proof:
    """Read everything and try the app's roles; raise StopError for what is not as it has to be.

    `database` is the app's, which has to be there.
    """
    about = ask("postgres", ABOUT.format(group=sql.string(wanted.GROUP)))
    if about["recovering"]:
        raise StopError("the recovered server still recovers, wanted one that has reached its target and left recovery")
    if database not in about["databases"]:
        raise StopError(
            f"at that moment there was no database {database} (there were: {', '.join(about['databases']) or 'none'}). "
            "Choose a later one: make pit shows what can be reached"
        )
    rows, tables = {}, {}
    for name in about["databases"]:
        found = ask(name, TABLES)
        rows[name] = sum(count(name, table) for table in found)
        tables[name] = len(found)
        if broken := ask(name, BROKEN):
            line.say("warning", "indexes were not valid at that moment", database=name, indexes=broken)
        line.say("info", "read", database=name, tables=tables[name], rows=rows[name])
    if not about["roles"]:
        raise StopError(f"at that moment the app had no role in {database}. Choose a later one: make pit")
    for role in about["roles"]:
        enter(database, role)
    return Proof(int(about["timeline"]), rows, tables, list(about["roles"]))


def count(database: str, table: str) -> int:
    """Return a table's rows, each page of it read and its checksum compared."""
    try:
        return int(psql.query(connection(database), f"SELECT count(*) FROM {table};", READ_SECONDS))  # noqa: S608 - quoted by the server
    except psql.SqlError as error:
        raise StopError(f"{database}: {table} cannot be read: {error}") from None


def enter(database: str, role: str) -> None:
    """Have a role of the app's enter and look; raise StopError where it cannot."""
    try:
        psql.query(connection(database, role), READABLE.format(right=RIGHT), SHORT_SECONDS)
    except psql.SqlError as error:
        raise StopError(f"the app's role {role} does not get into {database}: {error}") from None


def ask(database: str, query: str) -> Any:
    """Return a query's JSON answer; raise StopError with the server's words."""
    try:
        return json.loads(psql.query(connection(database), query, SHORT_SECONDS))
    except psql.SqlError as error:
        raise StopError(f"{database}: the recovered server refused: {error}") from None


def connection(database: str, role: str = SUPERUSER) -> psql.Connection:
    """Return a connection to the recovered server."""
    return psql.Connection(psql.conninfo({"host": str(SOCKETS), "user": role, "dbname": database}))
