"""What the server has at present, each part as one query that answers with JSON."""

from __future__ import annotations

from collections.abc import Iterable

from server import bulletin, room, sql


def acl(column: str, kind: str, owner: str) -> str:
    """Return the expression for an access list: an object from grantee to its rights, the owner's own left out."""
    return f"""(
        SELECT coalesce(json_object_agg(grantee, rights), '{{}}') FROM (
            SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END AS grantee,
                   json_agg(DISTINCT a.privilege_type) AS rights
            FROM aclexplode(coalesce({column}, acldefault('{kind}', {owner}))) a
            WHERE a.grantee <> {owner}
            GROUP BY 1) listed)"""  # noqa: S608 - column names of this module alone


def function(signature: str) -> str:
    """Return the expression for a function of ours: its source, whose rights it has, and who may call it."""
    return f"""(
        SELECT json_build_object('source', prosrc, 'definer', prosecdef, 'acl', proacl::text)
        FROM pg_proc WHERE oid = to_regprocedure({sql.string(signature)}))"""  # noqa: S608 - a name of this program's


def cluster(roles: Iterable[str], databases: Iterable[str]) -> str:
    """Return the query for roles, memberships and databases."""
    names = sql.array(list(roles))
    return f"""
SELECT json_build_object(
    'max_connections', current_setting('max_connections')::int,
    'kept_connections', current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true), '0')::int,
    'room', {function(room.FUNCTION)},
    'archive', {function(bulletin.FUNCTION)},
    'roles', (
        SELECT coalesce(json_object_agg(rolname, json_build_object(
            'login', rolcanlogin, 'inherit', rolinherit, 'super', rolsuper, 'createdb', rolcreatedb,
            'createrole', rolcreaterole, 'replication', rolreplication, 'bypassrls', rolbypassrls,
            'limit', rolconnlimit, 'verifier', rolpassword, 'valid_until', nullif(rolvaliduntil, 'infinity'),
            'settings', coalesce((SELECT to_json(setconfig) FROM pg_db_role_setting
                                  WHERE setrole = r.oid AND setdatabase = 0), '[]'),
            'databases_with_settings', (
                SELECT coalesce(json_agg(datname ORDER BY datname), '[]')
                FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
                WHERE s.setrole = r.oid))), '{{}}')
        FROM pg_authid r WHERE rolname = ANY ({names})),
    'memberships', (
        SELECT coalesce(json_agg(json_build_object(
            'role', pg_get_userbyid(roleid), 'member', pg_get_userbyid(member),
            'admin', admin_option, 'inherit', inherit_option)), '[]')
        FROM pg_auth_members WHERE pg_get_userbyid(member) = ANY ({names})),
    'databases', (
        SELECT json_object_agg(datname, json_build_object(
            'owner', pg_get_userbyid(datdba), 'acl', {acl("datacl", "d", "datdba")}))
        FROM pg_database WHERE datname = ANY ({sql.array(list(databases))})));
"""  # noqa: S608 - names are quoted by sql


def contents(owner: str) -> str:
    """Return the query for schema public, what is in it, and the owner's default privileges there.

    What belongs to an extension is the extension's affair. A sequence of a column follows its table's owner.
    """
    mine = (
        "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{0}'::regclass AND d.objid = o.oid AND d.deptype = 'e')"
    )
    return f"""
SELECT json_build_object(
    'schema', (
        SELECT json_build_object('owner', pg_get_userbyid(nspowner), 'acl', {acl("nspacl", "n", "nspowner")})
        FROM pg_namespace WHERE nspname = 'public'),
    'defaults', (
        SELECT coalesce(json_object_agg(defaclobjtype, rights), '{{}}') FROM (
            SELECT defaclobjtype, {acl("defaclacl", "r", "defaclrole")} AS rights
            FROM pg_default_acl
            WHERE defaclrole = {sql.string(owner)}::regrole AND defaclnamespace = 'public'::regnamespace) listed),
    'relations', (
        SELECT coalesce(json_agg(json_build_object(
            'name', relname, 'kind', relkind, 'owner', pg_get_userbyid(relowner),
            'follows', EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = o.oid
                               AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')),
            'acl', CASE relkind WHEN 'S' THEN {acl("relacl", "s", "relowner")}
                                ELSE {acl("relacl", "r", "relowner")} END)
            ORDER BY relname), '[]')
        FROM pg_class o WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            AND {mine.format("pg_class")}),
    'routines', (
        SELECT coalesce(json_agg(json_build_object(
            'signature', oid::regprocedure::text, 'owner', pg_get_userbyid(proowner)) ORDER BY oid), '[]')
        FROM pg_proc o WHERE pronamespace = 'public'::regnamespace AND {mine.format("pg_proc")}),
    'types', (
        SELECT coalesce(json_agg(json_build_object(
            'name', typname, 'owner', pg_get_userbyid(typowner)) ORDER BY typname), '[]')
        FROM pg_type o WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd', 'r', 'c')
            AND (typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = typrelid AND c.relkind = 'c'))
            AND {mine.format("pg_type")}));
"""  # noqa: S608 - names are quoted by sql
