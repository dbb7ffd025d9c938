"""Reads what is in a database, by one session's snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg

from backup import sql
from backup.connection import Session, words
from backup.contents import Contents, Sequence, Table
from backup.error import StopError

OWN = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
CHUNK = 1 << 20
# A table is read in ranges of so many blocks where somebody rests between them: some tens of milliseconds each.
RANGE = 512
AT_ONCE = 200
Rest = Callable[[float], object]
TOO_BIG = ("53200", "54000")
TOO_BIG_WORDS = "invalid memory alloc request size"

# Tables with rows of their own. Of an extension's, what it says a dump should take: its script makes the rest.
# Blocks where a range of them is found without reading the others; none of a table that has been dropped meanwhile.
TABLES = f"""
SELECT n.nspname, c.relname, coalesce(e.condition, ''),
    has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
    row_security_active(c.oid),
    ARRAY(SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname COLLATE "C"),
    CASE WHEN m.amname = 'heap' AND e.oid IS NULL AND current_setting('server_version_num')::int >= 140000
        THEN coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int ELSE 0 END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am m ON m.oid = c.relam
LEFT JOIN (SELECT unnest(extconfig) AS oid, unnest(extcondition) AS condition FROM pg_extension) e ON e.oid = c.oid
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {OWN}
    AND (e.oid IS NOT NULL OR NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""  # noqa: S608 - constants

SEQUENCES = f"""
SELECT n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {OWN} AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""  # noqa: S608 - constants

# Nobody but a superuser may ask the server whether a large object is readable, before PostgreSQL 18.
UNREADABLE_LARGE_OBJECTS = """
SELECT m.oid::text FROM pg_largeobject_metadata m
WHERE current_setting('lo_compat_privileges') = 'off'
    AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    AND NOT pg_has_role(m.lomowner, 'USAGE')
    AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) a
        WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
ORDER BY m.oid
"""

# Pieces, because an object may be larger than what fits into one value. A large object keeps its number in a dump.
LARGE_OBJECTS = f"""
WITH RECURSIVE piece(oid, number, size, hash) AS (
    SELECT m.oid, 0::bigint, length(d.data), md5(d.data)
    FROM pg_largeobject_metadata m, LATERAL lo_get(m.oid, 0, {CHUNK}) AS d(data)
    UNION ALL
    SELECT p.oid, p.number + 1, length(d.data), md5(d.data)
    FROM piece p, LATERAL lo_get(p.oid, (p.number + 1) * {CHUNK}, {CHUNK}) AS d(data)
    WHERE p.size = {CHUNK}
)
SELECT count(*) FILTER (WHERE number = 0)::text,
    coalesce(sum(('x' || substr(m, 1, 16))::bit(64)::bigint), 0)::text,
    coalesce(sum(('x' || substr(m, 17, 16))::bit(64)::bigint), 0)::text
FROM (SELECT number, md5(concat_ws(' ', oid, number, size, hash)) AS m FROM piece OFFSET 0) pieces
"""  # noqa: S608 - constants

EXTENSIONS = """
SELECT e.extname, e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname <> 'plpgsql' ORDER BY e.oid
"""

# Nothing of an extension's, and no index that was never finished: a dump leaves both out.
OBJECTS = f"""
SELECT kind, count(*)::int FROM (
    SELECT CASE c.relkind WHEN 'r' THEN 'tables' WHEN 'p' THEN 'partitioned tables' WHEN 'v' THEN 'views'
        WHEN 'm' THEN 'materialized views' WHEN 'i' THEN 'indexes' WHEN 'I' THEN 'partitioned indexes'
        WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'foreign tables' WHEN 'c' THEN 'composite types' END AS kind,
        'pg_class'::regclass AS class, c.oid AS oid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE {OWN} AND c.relkind IN ('r', 'p', 'v', 'm', 'i', 'I', 'S', 'f', 'c') AND coalesce(i.indisvalid, true)
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indrelid
            AND d.deptype = 'e')
    UNION ALL
    SELECT CASE c.contype WHEN 'c' THEN 'checks' WHEN 'f' THEN 'foreign keys' WHEN 'p' THEN 'primary keys'
        WHEN 'u' THEN 'unique constraints' WHEN 'x' THEN 'exclusion constraints' END, 'pg_constraint'::regclass, c.oid
    FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE {OWN} AND c.contype IN ('c', 'f', 'p', 'u', 'x') AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.conrelid AND d.deptype = 'e')
        AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_type'::regclass AND d.objid = c.contypid AND d.deptype = 'e')
    UNION ALL
    SELECT 'triggers', 'pg_trigger'::regclass, t.oid FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OWN} AND NOT t.tgisinternal
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
            AND d.deptype = 'e')
    UNION ALL
    SELECT 'policies', 'pg_policy'::regclass, p.oid FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OWN}
    UNION ALL
    SELECT 'functions', 'pg_proc'::regclass, p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {OWN} AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
    UNION ALL
    SELECT CASE t.typtype WHEN 'd' THEN 'domains' WHEN 'e' THEN 'enums' ELSE 'ranges' END, 'pg_type'::regclass, t.oid
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {OWN} AND t.typtype IN ('d', 'e', 'r')
    UNION ALL
    SELECT 'schemas', 'pg_namespace'::regclass, n.oid FROM pg_namespace n WHERE {OWN}
) found
WHERE NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = found.class AND d.objid = found.oid AND d.deptype = 'e')
GROUP BY kind ORDER BY kind
"""  # noqa: S608 - constants


class Place(NamedTuple):
    """A table to read: where it is, which of its rows a dump takes, and its columns in an order of their names."""

    schema: str
    table: str
    condition: str
    readable: bool
    filtered: bool
    columns: tuple[str, ...]
    blocks: int

    @property
    def name(self) -> str:
        """The table's quoted name."""
        return sql.name(self.schema, self.table)


class Extension(NamedTuple):
    """An installed extension."""

    name: str
    version: str
    schema: str


def rows(session: Session, query: str) -> list[Any]:
    """Return a query's rows; raise StopError with the server's words when it fails."""
    try:
        # The queries come from here, with names quoted; psycopg wants a literal.
        return session.execute(query.encode()).fetchall()
    except psycopg.Error as error:
        raise StopError(f"the server refused a question about the database: {words(error)}") from None


def tables(session: Session) -> list[Place]:
    """Return every table whose rows a dump takes."""
    found = rows(session, TABLES)
    return [Place(row[0], row[1], row[2], row[3], row[4], tuple(row[5]), int(row[6])) for row in found]


def extensions(session: Session) -> list[Extension]:
    """Return the installed extensions in the order they were installed in."""
    return [Extension(*row) for row in rows(session, EXTENSIONS)]


def sequence_names(session: Session) -> list[tuple[str, str, bool]]:
    """Return each sequence's schema, its name, and whether it may be read."""
    return [tuple(row) for row in rows(session, SEQUENCES)]


def unreadable(session: Session) -> list[str]:
    """Return everything that this session may not read, or of which it would not see every row."""
    found = [f"table {place.name}" for place in tables(session) if not place.readable]
    found += [f"rows of {place.name} (row-level security)" for place in tables(session) if place.filtered]
    found += [f"sequence {sql.name(schema, name)}" for schema, name, may in sequence_names(session) if not may]
    return found + [f"large object {row[0]}" for row in rows(session, UNREADABLE_LARGE_OBJECTS)]


def count_and_hash(place: Place, condition: str = "") -> str:
    """Return the query for the number of a table's rows, or of some, and the two halves of their hash.

    Its columns are named one by one, in the order of their names: a restored child of another table may have them in
    another order. The parent's query does not read its children.
    """
    row = ", ".join(f"t.{sql.name(column)}" for column in place.columns)
    return f"""SELECT count(*)::text,
    coalesce(sum(('x' || substr(m, 1, 16))::bit(64)::bigint), 0)::text,
    coalesce(sum(('x' || substr(m, 17, 16))::bit(64)::bigint), 0)::text
FROM (SELECT md5(ROW({row})::text) AS m FROM ONLY {place.name} AS t {condition or place.condition} OFFSET 0) rows"""  # noqa: S608


def joined(first: int, second: int) -> str:
    """Return a hash of 32 digits from the sums of its two halves."""
    return "".join(f"{half % (1 << 64):016x}" for half in (first, second))


def ranges(blocks: int) -> list[str]:
    """Return conditions that split a table; the last one has no end."""
    starts = range(RANGE, blocks, RANGE)
    edges = zip((None, *starts), (*starts, None), strict=True)
    return [" AND ".join(bound for bound in bounds(first, end)) for first, end in edges]


def bounds(first: int | None, end: int | None) -> list[str]:
    """Return what holds of a row's place between two blocks."""
    found = [f"t.ctid >= '({first},0)'"] if first is not None else []
    return found + ([f"t.ctid < '({end},0)'"] if end is not None else [])


def table(session: Session, place: Place, rest: Rest | None = None) -> Table:
    """Return a table's rows and hash; raise StopError that names it when the server cannot write one of its rows."""
    conditions = [f"WHERE {each}" if each else "" for each in ranges(place.blocks if rest else 0)]
    found = []
    for condition in conditions:
        began = time.monotonic()
        found.append(numbers(session, place, condition))
        if rest:
            rest(time.monotonic() - began)
    count, first, second = (sum(values) for values in zip(*found, strict=True))
    return Table(place.name, count, joined(first, second))


def numbers(session: Session, place: Place, condition: str) -> tuple[int, int, int]:
    """Return the number of a table's rows that a condition holds of, and the sums of the halves of their hashes."""
    try:
        (row,) = session.execute(count_and_hash(place, condition).encode()).fetchall()
    except psycopg.Error as error:
        if error.sqlstate in TOO_BIG or TOO_BIG_WORDS in str(error):
            raise StopError(
                f"table {place.name}: a row is larger than the server can write out, so no dump can hold it: "
                f"{words(error)}. Keep such values in large objects or outside the database"
            ) from None
        raise StopError(f"table {place.name}: cannot be read: {words(error)}") from None
    count, first, second = (int(str(value)) for value in row)
    return count, first, second


def sequences(session: Session) -> dict[str, str]:
    """Return where each sequence is; a + tells that this value has been given out."""
    found: dict[str, str] = {}
    names = [sql.name(schema, name) for schema, name, _ in sequence_names(session)]
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        queries = (
            f"SELECT {sql.string(name)}, last_value::text || CASE WHEN is_called THEN '+' ELSE '' END FROM {name}"  # noqa: S608
            for name in some
        )
        found.update({str(name): str(value) for name, value in rows(session, " UNION ALL ".join(queries))})
    return found


def read(session: Session, tick: Callable[[str, int, int], None], rest: Rest | None = None) -> Contents:
    """Return what the session sees, telling `tick` of each table before it is read, its number and their count.

    With `rest` large tables are read bit by bit, and it is called after each with the seconds that it took.
    """
    places = tables(session)
    found = []
    for number, place in enumerate(places):
        tick(place.name, number, len(places))
        found.append(table(session, place, rest))
    tick("large objects", len(places), len(places))
    ((count, first, second),) = rows(session, LARGE_OBJECTS)
    return Contents(
        tables=tuple(found),
        sequences=tuple(Sequence(name, value, value) for name, value in sequences(session).items()),
        extensions={extension.name: extension.version for extension in extensions(session)},
        large_objects=int(count),
        large_objects_hash=joined(int(first), int(second)),
        objects={str(kind): int(number) for kind, number in rows(session, OBJECTS)},
    )
