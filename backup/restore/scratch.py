"""What the loader may do, and where: pure SQL for who prepares its role and each scratch database.

The loader is an ordinary role that signs in and is a member of no other one. In the database that it loads into it may
make schemas, as a dump has some, and owns `public`, as a dump says what that is like; it owns neither that database nor
anything in another one, and the server lets it connect nowhere else. So nothing that a dump runs can read the server's
files, start programs, load libraries, make or change roles, databases and subscriptions, or end other roles' sessions.
What it can do outside this database is change its own password and settings: `guard` sets them back.

Who prepares this is a member of the database's owner and of the loader's role: without that nobody but a superuser
hands a schema over. The loader is never a member of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

from backup import sql

LOADER = "restore_loader"
# pg_restore's sessions, the one that keeps the role as it is, and some that are just ending.
SESSIONS = 16


def role(admin: str, loader: str = LOADER) -> tuple[str, ...]:
    """Return what makes the role, without its password: once, by who may make roles."""
    name = sql.name(loader)
    attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT"
    return (
        f"CREATE ROLE {name} {attributes} CONNECTION LIMIT {SESSIONS}",
        f"GRANT {name} TO {sql.name(admin)}",
    )


def closed(database: str) -> tuple[str, ...]:
    """Return what keeps the loader, and everybody else, out of a database; `postgres` and the app's need it too."""
    return (f"REVOKE ALL ON DATABASE {sql.name(database)} FROM PUBLIC",)


def opened(database: str, loader: str = LOADER) -> tuple[str, ...]:
    """Return what lets the loader into an empty database, by its owner, in whatever database he is."""
    return (
        *closed(database),
        f"GRANT CONNECT, CREATE ON DATABASE {sql.name(database)} TO {sql.name(loader)}",
    )


def prepared(extensions: Iterable[tuple[str, str]] = (), loader: str = LOADER) -> tuple[str, ...]:
    """Return what is made inside it before anything is loaded, by its owner: extensions, each with its schema.

    Their schemas are the loader's, as a dump's own are; what is in them is not. An empty schema is public.
    """
    name = sql.name(loader)
    wanted = [(extension, schema or "public") for extension, schema in extensions]
    schemas = sorted({schema for _, schema in wanted} - {"pg_catalog", "public"})
    return (
        *(f"CREATE SCHEMA IF NOT EXISTS {sql.name(schema)}" for schema in schemas),
        *(f"CREATE EXTENSION IF NOT EXISTS {sql.name(extension)}{within(schema)}" for extension, schema in wanted),
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        *(f"ALTER SCHEMA {sql.name(schema)} OWNER TO {name}" for schema in ("public", *schemas)),
        "GRANT USAGE ON SCHEMA public TO PUBLIC",
        FILLED.format(loader=sql.string(loader)),
    )


def within(schema: str) -> str:
    """Return the clause that puts an extension into a schema."""
    return f" SCHEMA {sql.name(schema)}" if schema != "pg_catalog" else ""


# A dump fills those tables of an extension that it says are the user's to fill.
FILLED = """DO $$ DECLARE filled regclass; BEGIN
    FOR filled IN SELECT unnest(extconfig) FROM pg_catalog.pg_extension LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE ON %s TO %I', filled, {loader});
    END LOOP;
END $$"""
