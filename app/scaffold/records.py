"""The tables that say what was done: everybody but the owner reads them, and at most adds to them."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.engine import Connection

RECORDS = ("alembic_version", "schema_steps", "releases", "releases_id_seq")
ADDED_TO = ("audit_events",)

# Roles are named otherwise elsewhere, as with a managed database: asked for what anybody holds, not for anybody's name.
HELD = text(
    "SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass::text AS record, "
    "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role, "
    "string_agg(DISTINCT a.privilege_type, ', ' ORDER BY a.privilege_type) AS rights "
    "FROM pg_class c, aclexplode(c.relacl) a WHERE c.relkind IN ('r', 'S') "
    "AND (c.relname = ANY (:records) OR c.relname = ANY (:added_to) AND a.privilege_type <> 'INSERT') "
    "AND c.relnamespace = current_schema()::regnamespace AND pg_has_role(c.relowner, 'USAGE') "
    "AND a.grantee <> c.relowner AND a.privilege_type <> 'SELECT' GROUP BY 1, 2 ORDER BY 1, 2"
)


def make_read_only(connection: Connection) -> list[str]:
    """Take from everybody but the owner every right on the records beyond those, and say what was taken from whom.

    After every upgrade and not once: default privileges give the app's roles all of it on each table that is made,
    and a restored or recreated one is made anew.
    """
    if connection.dialect.name != "postgresql":
        return []
    taken = []
    held = connection.execute(HELD, {"records": list(RECORDS), "added_to": list(ADDED_TO)}).all()
    for record, role, rights in held:
        connection.execute(text(f"REVOKE {rights} ON {record} FROM {role} CASCADE"))
        taken.append(f"{rights} on {record.lower()} from {role}")
    return taken
