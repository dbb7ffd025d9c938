"""`check`: looks whether a managed database has the version, roles and rights that the app and its migrations need."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from server import finding, line, psql, setting, sql, url
from server.error import StopError
from server.finding import Finding
from server.url import Target
from server.wanted import RECORDS

OWNER_SETTING, APP_SETTING = "DATABASE_URL", "APP_DATABASE_URL"
LIMITS = "SET statement_timeout = '15s'; SET lock_timeout = '5s';\n"
LISTED = 5

VERSION = """SELECT json_build_object('number', current_setting('server_version_num')::int,
    'words', current_setting('server_version'));"""
# Two URLs lead to one database when its number and the moment its server started are the same.
IDENTITY = (
    """SELECT concat(oid, ' ', pg_postmaster_start_time()) FROM pg_database WHERE datname = current_database();"""
)
TABLE = "public.scaffold_check"
LOCK = "SELECT pg_advisory_lock(hashtext('scaffold_check')); SELECT pg_advisory_unlock_all();"


def main() -> int:
    """Check both URLs, print each finding with what mends it, and return 0 when there is none, else 1."""
    try:
        targets = [target(name, os.environ) for name in (OWNER_SETTING, APP_SETTING)]
        server, findings = examine(*targets)
    except StopError as error:
        line.say("error", str(error))
        return 1
    except psql.SqlError as error:
        line.say("error", f"the check could not be finished: {error}. Run it again", sqlstate=error.state)
        return 1
    for item in findings:
        line.say("error", item.message, finding=item.name, mend=item.mend)
    if findings:
        line.say("error", f"the database cannot be used yet: {len(findings)} findings above", server_version=server)
        return 1
    line.say("info", "the database has the version, roles and rights needed", server_version=server)
    return 0


def target(name: str, environ: Mapping[str, str]) -> Target:
    """Return where a setting's URL leads; raise StopError, without the URL, when it is missing or unusable."""
    text = setting.read(name, environ)
    if not text:
        raise StopError(f"{name}: not set, wanted {url.WANTED}. Set {name}_FILE to a file with the URL")
    try:
        return url.parse(text)
    except ValueError as error:
        raise StopError(f"{name}: {error}") from None


def examine(owner: Target, app: Target) -> tuple[str, list[Finding]]:
    """Return the server's version and what is wrong; later questions wait until earlier ones are mended."""
    unreachable = []
    versions: list[Any] = []
    for who, name, place in (("owner", OWNER_SETTING, owner), ("app", APP_SETTING, app)):
        try:
            versions.append(json.loads(psql.query(place.connection(), VERSION)))
        except psql.SqlError as error:
            unreachable.append(finding.unreachable(who, name, place.user, place.database, str(error)))
    words = str(versions[0]["words"]) if versions else "unknown"
    findings = unreachable or finding.version(int(versions[0]["number"]), words)
    if findings:
        return words, findings
    facts = owner_facts(owner)
    findings = finding.owner(facts)
    return words, findings + finding.app({**facts, **app_facts(owner, app, ddl=not facts["owner_ddl_error"])})


def trial(connection: psql.Connection, statements: str) -> str:
    """Return why statements that are rolled back fail; empty when they succeed."""
    try:
        psql.query(connection, f"{LIMITS}BEGIN;\n{statements}\nROLLBACK;\n")
    except psql.SqlError as error:
        return str(error)
    return ""


def owner_facts(owner: Target) -> dict[str, Any]:
    """Return what the owner can do, found out by doing it; nothing of it stays."""
    create = f"CREATE TABLE {TABLE} (id bigint GENERATED ALWAYS AS IDENTITY); ALTER TABLE {TABLE} ADD note text;"
    return {
        "database": owner.database,
        "owner": owner.user,
        "owner_ddl_error": trial(owner.connection(), create),
        "owner_lock_error": trial(owner.connection("postgres"), LOCK),
    }


def app_facts(owner: Target, app: Target, *, ddl: bool) -> dict[str, Any]:
    """Return what the app's role can do; its rights on future tables are read off one that is rolled back."""
    connection = app.connection()
    facts: dict[str, Any] = json.loads(psql.query(connection, LIMITS + app_query(owner.user)))
    facts["app"] = app.user
    facts["same_database"] = psql.query(connection, IDENTITY) == psql.query(owner.connection(), IDENTITY)
    facts["future_lacking"] = False
    if ddl and facts["same_database"]:
        answer = psql.query(owner.connection(), future_query(app.user))
        facts["future_lacking"] = answer != "t"
    return facts


def app_query(owner: str) -> str:
    """Return the query that the app's own session answers about its rights."""
    records = sql.array(sorted(RECORDS))
    return f"""
SELECT json_build_object(
    'app_powers', (
        SELECT array_remove(ARRAY[CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
            CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
            CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], NULL)
        FROM pg_roles WHERE rolname = current_user),
    'app_in_owner', current_user <> {sql.string(owner)}
        AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        AND pg_has_role(current_user, {sql.string(owner)}, 'MEMBER'),
    'app_schema_create', has_schema_privilege('public', 'CREATE'),
    'app_schema_usage', has_schema_privilege('public', 'USAGE'),
    'app_database_create', has_database_privilege(current_database(), 'CREATE'),
    'app_owned', (
        SELECT coalesce(json_agg(relname), '[]') FROM (
            SELECT relname FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                AND pg_get_userbyid(relowner) = current_user ORDER BY 1 LIMIT {LISTED}) listed),
    'app_lacking', (
        SELECT coalesce(json_agg(relname), '[]') FROM (
            SELECT relname FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND CASE
                WHEN relname = ANY ({records}) THEN relkind <> 'S' AND NOT has_table_privilege(oid, 'SELECT')
                WHEN relkind IN ('r', 'p') THEN NOT (has_table_privilege(oid, 'SELECT') AND
                    has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE') AND
                    has_table_privilege(oid, 'DELETE'))
                WHEN relkind = 'S' THEN NOT has_sequence_privilege(oid, 'USAGE') ELSE false END
            ORDER BY 1 LIMIT {LISTED}) listed),
    'app_writes_all', NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        AND pg_has_role(current_user, 'pg_write_all_data', 'USAGE'));
"""  # noqa: S608 - names are quoted by sql


def future_query(user: str) -> str:
    """Return the statements that make a table with a sequence, say whether the role may use both, and undo it all."""
    role, table = sql.string(user), sql.string(TABLE)
    rights = " AND ".join(
        f"has_table_privilege({role}, {table}, '{right}')" for right in ("SELECT", "INSERT", "UPDATE", "DELETE")
    )
    return f"""{LIMITS}BEGIN;
CREATE TABLE {TABLE} (id bigserial);
SELECT {rights} AND has_sequence_privilege({role}, '{TABLE}_id_seq', 'USAGE');
ROLLBACK;
"""
