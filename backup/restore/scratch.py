"""What the loader may do, and where: pure SQL for who makes a scratch database, before anything is loaded into it.

The loader is an ordinary role that signs in and is a member of no other one (`roles.sql`). In the database that it
loads into it may make schemas, as a dump has some, and owns `public`, as a dump says what that is like; it owns neither
that database nor anything in another one, and the server lets it connect nowhere else. So nothing that a dump runs can
read the server's files, start programs, load libraries, make or change roles, databases and subscriptions, or end other
roles' sessions. What it can do outside this database is change its own password and settings: `guard` sets them back.

Who prepares this is a member of the owner's role and of the loader's: without that nobody but a superuser hands a
schema over. The loader is never a member of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

from backup import sql

LOADER = "restore_loader"


def opened(database: str, loader: str = LOADER) -> tuple[str, ...]:
    """Return what lets the loader, and nobody else, into an empty database; it is run in any database."""
    quoted = sql.name(database)
    return (
        f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC",
        f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {quoted} TO {sql.name(loader)}",
    )


def prepared(extensions: Iterable[tuple[str, str]], owner: str, loader: str = LOADER) -> tuple[str, ...]:
    """Return what is made inside it: extensions, each in its schema (empty: public), and the loader's hold of schemas.

    A dump's extensions are not made by the loader, and a schema that has one has to be there before it.
    """
    name = sql.name(loader)
    wanted = [(extension, schema or "public") for extension, schema in extensions]
    schemas = sorted({schema for _, schema in wanted} - {"pg_catalog", "public"})
    return (
        f"SET ROLE {sql.name(owner)}",
        *(f"CREATE SCHEMA IF NOT EXISTS {sql.name(schema)}" for schema in schemas),
        *(f"CREATE EXTENSION IF NOT EXISTS {sql.name(extension)}{within(schema)}" for extension, schema in wanted),
        "RESET ROLE",
        *(f"ALTER SCHEMA {sql.name(schema)} OWNER TO {name}" for schema in ("public", *schemas)),
    )


def within(schema: str) -> str:
    """Return the clause that puts an extension, with those that it needs, into a schema."""
    return " CASCADE" if schema == "pg_catalog" else f" SCHEMA {sql.name(schema)} CASCADE"
