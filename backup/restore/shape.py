"""Whose the live database's objects are and who may do what with them, and giving another database the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import psycopg

from backup import sql
from backup.connection import Session, words
from backup.reading import OWN

GROUP = "app"
# What only the owner writes; who may only add to what (the app's own migrations see to that once more).
RECORDS = frozenset({"alembic_version", "releases", "releases_id_seq", "schema_steps"})
ADDED_TO = frozenset({"audit_events"})
TABLE_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
SEQUENCE_RIGHTS = ("SELECT", "USAGE")
WORDS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES"}

# Of an extension's objects its script sees to the rights.
FREE = (
    """NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{0}'::regclass AND d.objid = {1} AND d.deptype = 'e')"""
)
WHO = "CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable"

# Each object with an access list of its own: kind, name, and one row for each right that is not its owner's.
GRANTS = f"""
SELECT 'schema', quote_ident(n.nspname), '', {WHO} FROM pg_namespace n LEFT JOIN LATERAL aclexplode(n.nspacl) a
    ON a.grantee <> n.nspowner WHERE n.nspacl IS NOT NULL AND {OWN} AND {FREE.format("pg_namespace", "n.oid")}
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname), '', {WHO} FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN LATERAL aclexplode(c.relacl) a ON a.grantee <> c.relowner
    WHERE c.relacl IS NOT NULL AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND {OWN}
    AND {FREE.format("pg_class", "c.oid")}
UNION ALL
SELECT 'table', quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(t.attname), {WHO}
    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL aclexplode(t.attacl) a WHERE a.grantee <> c.relowner AND NOT t.attisdropped AND {OWN}
    AND {FREE.format("pg_class", "c.oid")}
UNION ALL
SELECT 'routine', quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '('
    || pg_get_function_identity_arguments(p.oid) || ')', '', {WHO}
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace LEFT JOIN LATERAL aclexplode(p.proacl) a
    ON a.grantee <> p.proowner WHERE p.proacl IS NOT NULL AND {OWN} AND {FREE.format("pg_proc", "p.oid")}
"""  # noqa: S608 - constants
DEFAULTS = f"""
SELECT f.defaclobjtype::text, coalesce(quote_ident(n.nspname), ''), {WHO}
FROM pg_default_acl f LEFT JOIN pg_namespace n ON n.oid = f.defaclnamespace CROSS JOIN LATERAL aclexplode(f.defaclacl) a
WHERE f.defaclrole = %s::regrole AND a.grantee <> f.defaclrole AND f.defaclobjtype IN ('r', 'S', 'f', 'T')
"""  # noqa: S608 - constants
DATABASE = f"""
SELECT {WHO} FROM pg_database d CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
WHERE d.datname = current_database() AND a.grantee <> d.datdba
"""  # noqa: S608 - constants
SETTINGS = """
SELECT unnest(s.setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
WHERE d.datname = current_database() AND s.setrole = 0
"""
RELATIONS = f"""
SELECT CASE c.relkind WHEN 'S' THEN 'S' ELSE 'r' END, quote_ident(n.nspname), quote_ident(n.nspname) || '.'
    || quote_ident(c.relname), c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND {OWN}
    AND {FREE.format("pg_class", "c.oid")}
"""  # noqa: S608 - constants
# Their value is a list that is kept as it was written.
LISTS = frozenset({
    "local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
    "temp_tablespaces", "unix_socket_directories",
})  # fmt: skip


class Grant(NamedTuple):
    """One right on one object; nobody's name stands for everybody, and no right for an object that gives none."""

    kind: str
    name: str
    column: str
    role: str
    right: str
    passed_on: bool


class Default(NamedTuple):
    """One right that a role gets on whatever the owner makes."""

    kind: str
    schema: str
    role: str
    right: str
    passed_on: bool


class Shape(NamedTuple):
    """A database's owner, and the rights and settings in it."""

    owner: str
    grants: tuple[Grant, ...]
    defaults: tuple[Default, ...]
    database: tuple[tuple[str, str, bool], ...]
    settings: tuple[str, ...]
    limit: int
    relations: frozenset[str]


def read(session: Session, owner: str, limit: int) -> Shape:
    """Return the shape of the session's database."""
    defaults: list[Any] = session.execute(DEFAULTS.encode(), (sql.name(owner),)).fetchall()
    return Shape(
        owner=owner,
        grants=tuple(grant(row) for row in rows(session, GRANTS)),
        defaults=tuple(Default(*row) for row in defaults),
        database=tuple((str(row[0]), str(row[1]), bool(row[2])) for row in rows(session, DATABASE)),
        settings=tuple(str(row[0]) for row in rows(session, SETTINGS)),
        limit=limit,
        relations=frozenset(str(row[2]) for row in rows(session, RELATIONS)),
    )


def grant(row: Sequence[Any]) -> Grant:
    """Return a row as the right that it stands for."""
    kind, name, column, role, right, passed_on = row
    return Grant(str(kind), str(name), str(column), role or "", right or "", bool(passed_on))


def rows(session: Session, query: str) -> list[Any]:
    """Return a query's rows."""
    return session.execute(query.encode()).fetchall()


def usual(owner: str, group: str) -> Shape:
    """Return the shape that the project gives a database, for when the live one cannot be asked for its own.

    Without the app's group on the server nobody but the owner gets any right.
    """
    if not group:
        return Shape(owner, (), (), (), (), -1, frozenset())
    rights = {"r": TABLE_RIGHTS, "S": SEQUENCE_RIGHTS}
    grants = [Grant("schema", "public", "", group, "USAGE", False)]
    for name in sorted(RECORDS):
        kind = "sequence" if name.endswith("_seq") else "table"
        grants.append(Grant(kind, f"public.{name}", "", group, "SELECT", False))
    for name in sorted(ADDED_TO):
        grants += [Grant("table", f"public.{name}", "", group, right, False) for right in ("SELECT", "INSERT")]
    return Shape(
        owner=owner,
        grants=tuple(grants),
        defaults=tuple(Default(kind, "public", group, right, False) for kind in rights for right in rights[kind]),
        database=((group, "CONNECT", False),),
        settings=(),
        limit=-1,
        relations=frozenset(f"public.{name}" for name in RECORDS | ADDED_TO),
    )


def hand_over(session: Session, database: str, loader: str, shape: Shape) -> list[str]:
    """Give all in the session's database to the shape's owner, with the shape's rights, and nothing to the loader.

    All in one transaction, and none of it runs what came with the file. Return what rights could not be given, because
    what they are on is something else in the file.
    """
    with session.transaction():
        take(session, loader, shape.owner)
        have = [grant(row) for row in rows(session, GRANTS)]
        there = [(str(row[0]), str(row[1]), str(row[2])) for row in rows(session, RELATIONS)]
        known = {*(one.name for one in have), *(row[2] for row in there), *schemas(session), *routines(session)}
        for statement in [*stripped(have), *at_database(database, shape)]:
            session.execute(statement.encode())
        return given(session, granted(shape, known, there))


def given(session: Session, statements: list[str]) -> list[str]:
    """Give rights, all at once where that goes, else one by one; return those that cannot be given."""
    try:
        with session.transaction():
            for statement in statements:
                session.execute(statement.encode())
    except psycopg.Error as error:
        if session.broken or error.sqlstate is None:
            raise
    else:
        return []
    left = []
    for statement in statements:
        try:
            with session.transaction():
                session.execute(statement.encode())
        except psycopg.Error as error:
            if session.broken or error.sqlstate is None:
                raise
            left.append(f"{statement}: {words(error)}")
    return left


def take(session: Session, loader: str, owner: str) -> None:
    """Give all that is the loader's to the owner, and take from the loader every right in the session's database.

    Schemas first, one by one: REASSIGN takes what there is in no order that holds, and a function can be given only to
    somebody who may make one in its schema.
    """
    query = "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspowner = %s::regrole AND nspname !~ '^pg_'"
    found: list[Any] = session.execute(query, (sql.name(loader),)).fetchall()
    for (schema,) in found:
        session.execute(f"ALTER SCHEMA {schema} OWNER TO {sql.name(owner)}".encode())
    session.execute(f"REASSIGN OWNED BY {sql.name(loader)} TO {sql.name(owner)}".encode())
    session.execute(f"DROP OWNED BY {sql.name(loader)}".encode())


def schemas(session: Session) -> list[str]:
    """Return the schemas' quoted names."""
    return [str(row[0]) for row in rows(session, f"SELECT quote_ident(n.nspname) FROM pg_namespace n WHERE {OWN}")]  # noqa: S608


def routines(session: Session) -> list[str]:
    """Return the routines' names with what they take."""
    query = f"""SELECT quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '('
        || pg_get_function_identity_arguments(p.oid) || ')' FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {OWN}"""  # noqa: S608 - constants
    return [str(row[0]) for row in rows(session, query)]


def stripped(have: Iterable[Grant]) -> list[str]:
    """Return the statements that take from everybody but the owners what a file gave them."""
    return [
        f"REVOKE ALL{part(one)} ON {one.kind.upper()} {one.name} FROM {who(one.role)} CASCADE"
        for one in have
        if one.right
    ]


def granted(shape: Shape, known: set[str], there: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return the statements that give the rights to what is there."""
    found = []
    closed = set()
    for grant in shape.grants:
        if grant.name not in known:
            continue
        if grant.kind == "routine" and grant.name not in closed:
            closed.add(grant.name)
            found.append(f"REVOKE ALL ON ROUTINE {grant.name} FROM PUBLIC")
        if grant.right:
            found.append(
                f"GRANT {grant.right}{part(grant)} ON {grant.kind.upper()} {grant.name} TO {who(grant.role)}"
                f"{option(grant.passed_on)}"
            )
    for kind, schema, name in there:
        # What the live database does not have gets what it would get there.
        if name in shape.relations:
            continue
        word = "SEQUENCE" if kind == "S" else "TABLE"
        found += [
            f"GRANT {default.right} ON {word} {name} TO {who(default.role)}{option(default.passed_on)}"
            for default in shape.defaults
            if default.kind == kind and default.schema in ("", schema)
        ]
    for default in shape.defaults:
        if not default.schema or default.schema in known:
            within = f" IN SCHEMA {default.schema}" if default.schema else ""
            found.append(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {sql.name(shape.owner)}{within} GRANT {default.right} ON "
                f"{WORDS[default.kind]} TO {who(default.role)}{option(default.passed_on)}"
            )
    return found


def at_database(database: str, shape: Shape) -> list[str]:
    """Return the statements for the database itself."""
    quoted = sql.name(database)
    found = [f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC"]
    found += [
        f"GRANT {right} ON DATABASE {quoted} TO {who(role)}{option(passed_on)}"
        for role, right, passed_on in shape.database
    ]
    for setting in shape.settings:
        name, _, value = setting.partition("=")
        quoted_name = ".".join(sql.name(piece) for piece in name.split("."))
        written = value if name.lower() in LISTS else sql.string(value)
        found.append(f"ALTER DATABASE {quoted} SET {quoted_name} TO {written or sql.string('')}")
    return [*found, f"ALTER DATABASE {quoted} CONNECTION LIMIT {shape.limit}"]


def who(role: str) -> str:
    """Return a role as GRANT has it."""
    return sql.name(role) if role else "PUBLIC"


def part(grant: Grant) -> str:
    """Return the column of a right on one."""
    return f" ({grant.column})" if grant.column else ""


def option(passed_on: bool) -> str:
    """Return the words for a right that may be passed on."""
    return " WITH GRANT OPTION" if passed_on else ""


def document(shape: Shape) -> dict[str, Any]:
    """Return a shape as it is written down."""
    return {**shape._asdict(), "relations": sorted(shape.relations)}


def from_document(found: dict[str, Any]) -> Shape:
    """Return the shape that was written down."""
    return Shape(
        owner=str(found["owner"]),
        grants=tuple(Grant(*item) for item in found["grants"]),
        defaults=tuple(Default(*item) for item in found["defaults"]),
        database=tuple((str(role), str(right), bool(passed_on)) for role, right, passed_on in found["database"]),
        settings=tuple(found["settings"]),
        limit=int(found["limit"]),
        relations=frozenset(found["relations"]),
    )
