"""What may be wrong with a managed database, and the SQL that mends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from server import sql

OLDEST = 140000
OLDEST_WORDS = "14"
RIGHTS = "SELECT, INSERT, UPDATE, DELETE"


class Finding(NamedTuple):
    """One thing that is wrong: its name, what was found, and what to run to mend it."""

    name: str
    message: str
    mend: str


def unreachable(who: str, setting: str, user: str, database: str, words: str) -> Finding:
    """Return why a URL leads nowhere: what libpq said decides what there is to do."""
    role, base = sql.name(user), sql.name(database)
    if "password authentication failed" in words or f'role "{user}" does not exist' in words:
        mend = f"as administrator: CREATE ROLE {role} LOGIN; then \\password {role} (or correct {setting})"
        return Finding(f"{who}-login-refused", f"{setting}: {words}", mend)
    if f'database "{database}" does not exist' in words:
        mend = f"as administrator: CREATE DATABASE {base} (or correct {setting})"
        return Finding(f"{who}-database-missing", f"{setting}: {words}", mend)
    if "permission denied for database" in words:
        mend = f"as administrator: GRANT CONNECT ON DATABASE {base} TO {role}"
        return Finding(f"{who}-connect-denied", f"{setting}: {words}", mend)
    mend = f"no SQL: check host, port, sslmode and the network in {setting}"
    return Finding(f"{who}-unreachable", f"{setting}: {words}", mend)


def version(number: int, words: str) -> list[Finding]:
    """Return what is wrong with the server's version number, as server_version_num has it."""
    if number >= OLDEST:
        return []
    message = f"the server is PostgreSQL {words}, wanted {OLDEST_WORDS} or later"
    return [Finding("version-too-old", message, "no SQL: upgrade the server, or choose another one")]


def owner(facts: Mapping[str, Any]) -> list[Finding]:
    """Return what the owner lacks."""
    role = sql.name(facts["owner"])
    found = []
    if facts["owner_ddl_error"]:
        message = f"{facts['owner']} cannot create tables in schema public: {facts['owner_ddl_error']}"
        mend = f"in database {facts['database']}, as administrator: GRANT USAGE, CREATE ON SCHEMA public TO {role}"
        found.append(Finding("owner-without-ddl", message, mend))
    if facts["owner_lock_error"]:
        message = f"{facts['owner']} cannot lock in database postgres: {facts['owner_lock_error']}"
        mend = f"as administrator: GRANT CONNECT ON DATABASE postgres TO {role}"
        found.append(Finding("owner-without-lock", message, mend))
    return found


def app(facts: Mapping[str, Any]) -> list[Finding]:
    """Return what the app's role may but must not, and what it lacks."""
    user, owner_name = facts["app"], facts["owner"]
    role, above = sql.name(user), sql.name(owner_name)
    place = f"in database {facts['database']}"
    found = []
    if not facts["same_database"]:
        message = "the two URLs lead to different databases"
        return [Finding("different-databases", message, "no SQL: make both URLs name the same server and database")]
    if user == owner_name:
        message = f"both URLs log in as {user}, but the app must not be the owner"
        return [Finding("app-is-owner", message, 'as administrator: CREATE ROLE "app_a" LOGIN; \\password "app_a"')]
    if facts["app_powers"]:
        listed = " ".join(facts["app_powers"])
        mend = f"as administrator: ALTER ROLE {role} {' '.join('NO' + word for word in facts['app_powers'])}"
        found.append(Finding("app-too-powerful", f"{user} is {listed}, wanted none of that", mend))
    if facts["app_in_owner"]:
        message = f"{user} is a member of {owner_name}, and so may do all that the owner may"
        found.append(Finding("app-in-owner", message, f"as administrator: REVOKE {above} FROM {role}"))
    if facts["app_writes_all"]:
        # What is granted on the records themselves, every upgrade takes away; a membership it cannot.
        message = f"{user} is a member of pg_write_all_data, and so may write the records of schema and releases"
        found.append(Finding("app-writes-records", message, f"as administrator: REVOKE pg_write_all_data FROM {role}"))
    if facts["app_schema_create"] or facts["app_database_create"]:
        target = "SCHEMA public" if facts["app_schema_create"] else f"DATABASE {sql.name(facts['database'])}"
        message = f"{user} may create objects in {target}, wanted no DDL for the app"
        mend = f"{place}, as {owner_name} or administrator: REVOKE CREATE ON {target} FROM {role}, PUBLIC"
        found.append(Finding("app-with-ddl", message, mend))
    if not facts["app_schema_usage"]:
        message = f"{user} may not use schema public"
        found.append(Finding("app-without-schema", message, f"{place}: GRANT USAGE ON SCHEMA public TO {role}"))
    if facts["app_owned"]:
        listed = ", ".join(facts["app_owned"])
        mend = f"{place}, as administrator: REASSIGN OWNED BY {role} TO {above}"
        found.append(Finding("app-owns-objects", f"{user} owns {listed}, and so may alter and drop that", mend))
    if facts["app_lacking"]:
        listed = ", ".join(facts["app_lacking"])
        mend = (
            f"{place}, as {owner_name}: GRANT {RIGHTS} ON ALL TABLES IN SCHEMA public TO {role}; "
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}"
        )
        found.append(Finding("app-without-dml", f"{user} may not read and write {listed}", mend))
    if facts["future_lacking"]:
        mend = (
            f"{place}, as {owner_name}: ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {RIGHTS} ON TABLES TO {role}; "
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role}"
        )
        message = f"{user} may not read and write what {owner_name} will create"
        found.append(Finding("app-without-default-privileges", message, mend))
    return found
