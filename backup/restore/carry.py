# ruff: noqa: S608 - the tables are constants, and columns are quoted
"""What a restore must not undo about security: dropped from the database to come, or carried forward from the live one.

Everything here reads plain tables of the server's own types by COPY, and writes as the role that loaded the file, with
triggers off: no function that came with a file, or sits in the live database, runs as anybody with power.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from backup import sql
from backup.connection import Session, words
from backup.error import StopError
from restore import databases
from restore.error import TransientError

# Whoever is in the middle of signing in, or is signed in, does it again.
DROPPED = ("sessions", "saml_transactions", "pending_sign_ins", "challenges", "throttles")
FACTORS = ("totps", "passkeys", "recovery_codes")
# In this order: the later ones look at the people of the earlier.
CARRIED = (
    "users", "identities", "passwords", *FACTORS, "consumed_messages", "saml_certificates", "audit_events",
    "event_counts", "releases",
)  # fmt: skip
TABLES = (*DROPPED, "break_glass_openings", *CARRIED)

# A table that is what it seems: no view, no policy, no rule, no type or function of anybody's but the server's own.
PLAIN = """
SELECT c.relkind = 'r' AND NOT c.relrowsecurity AND NOT c.relhasrules AND NOT c.relhassubclass AND NOT c.relispartition
    AND c.relpersistence = 'p'
    AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.atttypid >= 16384 OR a.attcollation >= 16384 OR a.attgenerated <> ''))
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refobjid >= 16384
        AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass,
            'pg_opfamily'::regclass, 'pg_type'::regclass)
        AND (d.classid, d.objid) IN (
            SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE k.conrelid = c.oid
            UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE i.indrelid = c.oid
            UNION ALL SELECT 'pg_attrdef'::regclass, f.oid FROM pg_attrdef f WHERE f.adrelid = c.oid)),
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum)
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relname = %s
"""


class Result(NamedTuple):
    """What was done with each table, and what could not be."""

    done: dict[str, str]
    unread: dict[str, str]


class Tables(NamedTuple):
    """The columns of those tables that are there and plain, and why others are not."""

    columns: dict[str, tuple[str, ...]]
    odd: tuple[str, ...]


def look(session: Session) -> Tables:
    """Return what of the tables a database has; each is locked first, so that it stays what it is looked at as."""
    columns, odd = {}, []
    for table in TABLES:
        there: Any = session.execute("SELECT to_regclass(%s) IS NOT NULL", (f"public.{table}",)).fetchone()
        if not there[0]:
            continue
        try:
            with session.transaction():
                session.execute(f"LOCK TABLE public.{table} IN ACCESS SHARE MODE".encode())
        except (psycopg.errors.WrongObjectType, psycopg.errors.InsufficientPrivilege):
            odd.append(table)
            continue
        row: Any = session.execute(PLAIN.encode(), (table,)).fetchone()
        if row is None or not row[0]:
            odd.append(table)
        else:
            columns[table] = tuple(row[1])
    return Tables(columns, tuple(odd))


def carry(live: Session | None, loader: Session, *, factors: str = "keep", only: Sequence[str] | None = None) -> Result:
    """Drop and carry forward in one transaction; doing it once more changes only what changed in between.

    `live` is None when the live database cannot be read; `only` names the tables to bring, and then none is emptied.
    Raise StopError when the database to come is not one that this can be done in.
    """
    with loader.transaction():
        coming = look(loader)
        if coming.odd:
            raise StopError(
                f"table {', '.join(coming.odd)} is not a plain table in the file, so what must not be undone about "
                f"security cannot be carried into it. Restore a file that the app's own database was dumped to"
            )
        for table in coming.columns:
            loader.execute(f"ALTER TABLE public.{table} DISABLE TRIGGER USER".encode())
        done = dropped(loader, coming) if only is None else {}
        unread: dict[str, str] = {}
        if live is None:
            unread = dict.fromkeys(
                (table for table in CARRIED if table in coming.columns), "the live database is not there"
            )
        else:
            with live.transaction():
                live.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                forward(live, loader, coming, CARRIED if only is None else only, done, unread)
        if factors == "renew" or (factors == "renew-when-unreadable" and any(table in unread for table in FACTORS)):
            done.update(renewed(loader, coming))
        for table in coming.columns:
            loader.execute(f"ALTER TABLE public.{table} ENABLE TRIGGER USER".encode())
    return Result(done, unread)


def dropped(loader: Session, coming: Tables) -> dict[str, str]:
    """Delete what nobody may go on with."""
    done = {}
    for table in DROPPED:
        if table in coming.columns:
            done[table] = f"{loader.execute(f'DELETE FROM public.{table}'.encode()).rowcount} dropped"
    if "break_glass_openings" in coming.columns:
        count = loader.execute("DELETE FROM public.break_glass_openings WHERE closed_at IS NULL").rowcount
        done["break_glass_openings"] = f"{count} open ones dropped"
    return done


def renewed(loader: Session, coming: Tables) -> dict[str, str]:
    """Delete every second factor: everybody makes a new one when they sign in next."""
    return {
        table: f"{loader.execute(f'DELETE FROM public.{table}'.encode()).rowcount} dropped: everybody makes new ones"
        for table in FACTORS
        if table in coming.columns
    }


def forward(
    live: Session,
    loader: Session,
    coming: Tables,
    tables: Sequence[str],
    done: dict[str, str],
    unread: dict[str, str],
) -> None:
    """Bring what the live database has into the one to come."""
    there = look(live)
    # Whose rows others are: they are looked at, though they were brought before.
    if "users" not in tables and "users" in coming.columns and "users" in there.columns:
        shared = [name for name in coming.columns["users"] if name in there.columns["users"]]
        copy(live, loader, "users", shared)
    for table in tables:
        if table not in coming.columns:
            if table in there.columns:
                done[table] = "not in the file: after the schema's upgrade"
            continue
        if table not in there.columns:
            unread[table] = "it is no plain table there" if table in there.odd else "it is not there"
            continue
        columns = [name for name in coming.columns[table] if name in there.columns[table]]
        try:
            with loader.transaction(), live.transaction():
                done[table] = bring(live, loader, table, columns, unread)
        except ReadError as error:
            unread[table] = str(error)


class ReadError(Exception):
    """A table of the live database cannot be read."""


def bring(live: Session, loader: Session, table: str, columns: Sequence[str], unread: dict[str, str]) -> str:
    """Bring one table's rows over and merge them, and return in words what came of it."""
    if table == "audit_events":
        return audit_log(live, loader, columns)
    copy(live, loader, table, columns)
    listed = ", ".join(sql.name(column) for column in columns)
    if table == "users":
        return people(loader, listed, columns)
    if "users" in unread and table in ("identities", "passwords", *FACTORS):
        raise ReadError("without the people, nobody knows whose they are")
    if table == "identities":
        return identities(loader, listed)
    if table in ("passwords", *FACTORS):
        return of_people(loader, table, listed)
    if table == "consumed_messages":
        count = run(
            loader,
            f"INSERT INTO public.{table} AS s ({listed}) SELECT {listed} FROM pg_temp.live_{table} ON CONFLICT "
            f"(issuer, message_id) DO UPDATE SET kept_until = greatest(s.kept_until, excluded.kept_until)",
        )
        return f"{count} carried forward"
    if table == "saml_certificates":
        count = run(
            loader,
            f"INSERT INTO public.{table} AS s ({listed}) SELECT {listed} FROM pg_temp.live_{table} ON CONFLICT "
            f"(entity_id, fingerprint) DO UPDATE SET distrusted_at = coalesce(excluded.distrusted_at, s.distrusted_at)",
        )
        return f"{count} carried forward"
    return replaced(loader, table, listed)


def run(loader: Session, statement: str) -> int:
    """Run a statement and return how many rows it was about."""
    return loader.execute(statement.encode()).rowcount


def copy(live: Session, loader: Session, table: str, columns: Sequence[str], condition: str = "") -> None:
    """Copy a table's rows into a temporary one of the same columns."""
    listed = ", ".join(sql.name(column) for column in columns)
    run(loader, f"DROP TABLE IF EXISTS pg_temp.live_{table}")
    run(loader, f"CREATE TEMPORARY TABLE live_{table} ON COMMIT DROP AS SELECT {listed} FROM public.{table} LIMIT 0")
    # A plain table, or a plain query of one, where only some of its rows are wanted.
    source = f"(SELECT {listed} FROM ONLY public.{table} {condition})" if condition else f"public.{table} ({listed})"
    stream(live, loader, f"COPY {source} TO STDOUT", f"COPY pg_temp.live_{table} ({listed}) FROM STDIN")


def stream(live: Session, loader: Session, out: str, into: str) -> None:
    """Pass on what one session sends to the other; raise ReadError for what cannot be read."""
    with loader.cursor().copy(into.encode()) as target:
        try:
            with live.cursor().copy(out.encode()) as origin:
                blocks = iter(origin)
                while True:
                    block = next(blocks, None)
                    if block is None:
                        break
                    target.write(block)
        except psycopg.Error as error:
            if databases.gone(error, live):
                raise TransientError(f"the server was lost: {words(error)}") from None
            raise ReadError(words(error)) from None


def people(loader: Session, listed: str, columns: Sequence[str]) -> str:
    """Keep out whom the live database keeps out, also those whom the file does not know, and raise nobody."""
    if "disabled_at" not in columns:
        return "the file is older than that somebody can be kept out"
    changed = run(
        loader,
        "UPDATE public.users s SET disabled_at = l.disabled_at FROM pg_temp.live_users l "
        "WHERE l.id = s.id AND s.disabled_at IS DISTINCT FROM l.disabled_at",
    )
    lowered = added = 0
    if "roles" in columns:
        lowered = run(
            loader,
            "UPDATE public.users s SET roles = (SELECT coalesce(jsonb_agg(r ORDER BY r), '[]'::jsonb) "
            "FROM jsonb_array_elements_text(s.roles) r WHERE l.roles ? r) FROM pg_temp.live_users l "
            "WHERE l.id = s.id AND NOT l.roles @> s.roles",
        )
    added = run(
        loader,
        f"INSERT INTO public.users ({listed}) SELECT {listed} FROM pg_temp.live_users l WHERE disabled_at IS NOT NULL "
        f"AND NOT EXISTS (SELECT FROM public.users s WHERE s.id = l.id) ON CONFLICT DO NOTHING",
    )
    if {"local", "email"} <= set(columns):
        changed += run(
            loader,
            "UPDATE public.users s SET disabled_at = l.disabled_at FROM pg_temp.live_users l WHERE "
            "l.disabled_at IS NOT NULL AND l.local AND s.local AND lower(s.email) = lower(l.email) "
            "AND s.disabled_at IS NULL AND NOT EXISTS (SELECT FROM pg_temp.live_users k WHERE k.id = s.id)",
        )
    return f"{changed} let in or kept out, {added} kept out whom the file does not know, {lowered} with fewer roles"


def identities(loader: Session, listed: str) -> str:
    """Let nobody who is kept out come in as somebody new, or as whom the file had for the same words."""
    run(
        loader,
        "UPDATE public.users u SET disabled_at = p.disabled_at FROM public.identities s JOIN pg_temp.live_identities l "
        "USING (issuer, tenant, object_id) JOIN pg_temp.live_users p ON p.id = l.user_id "
        "WHERE u.id = s.user_id AND u.disabled_at IS NULL AND p.disabled_at IS NOT NULL",
    )
    count = run(
        loader,
        f"INSERT INTO public.identities ({listed}) SELECT {listed} FROM pg_temp.live_identities l WHERE user_id IN "
        f"(SELECT id FROM pg_temp.live_users WHERE disabled_at IS NOT NULL) AND EXISTS (SELECT FROM public.users u "
        f"WHERE u.id = l.user_id) ON CONFLICT DO NOTHING",
    )
    return f"{count} of people who are kept out carried forward"


def of_people(loader: Session, table: str, listed: str) -> str:
    """Give everybody whom both databases know what the live one has of them, and nothing that it has no more."""
    run(loader, f"DELETE FROM public.{table} WHERE user_id IN (SELECT id FROM pg_temp.live_users)")
    count = run(
        loader,
        f"INSERT INTO public.{table} ({listed}) SELECT {listed} FROM pg_temp.live_{table} l "
        f"WHERE EXISTS (SELECT FROM public.users u WHERE u.id = l.user_id) ON CONFLICT DO NOTHING",
    )
    return f"{count} carried forward"


def replaced(loader: Session, table: str, listed: str) -> str:
    """Take the live database's rows for those of the file, unless it has none."""
    there: Any = loader.execute(f"SELECT count(*) FROM pg_temp.live_{table}".encode()).fetchone()
    if not there[0]:
        return "the live database has none: those of the file stay"
    if table == "event_counts" and is_of_another_site(loader):
        return "those of the file stay, as its log does"
    run(loader, f"DELETE FROM public.{table}")
    run(loader, f"INSERT INTO public.{table} ({listed}) SELECT {listed} FROM pg_temp.live_{table}")
    if table == "releases":
        loader.execute(
            "SELECT setval(s.name, (SELECT max(id) FROM public.releases)) FROM (SELECT pg_get_serial_sequence("
            "'public.releases', 'id') AS name) s WHERE s.name IS NOT NULL"
        )
    return f"{there[0]} carried forward"


FOREIGN = "restore.foreign_log"


def is_of_another_site(loader: Session) -> bool:
    """Tell whether the log of the file was found to share no row with the live one."""
    row: Any = loader.execute("SELECT current_setting(%s, true)", (FOREIGN,)).fetchone()
    return bool(row[0] == "yes")


def audit_log(live: Session, loader: Session, columns: Sequence[str]) -> str:
    """Go on with the live database's log, number by number and seal by seal.

    Where the file's log is the beginning of it, what follows is added. Where they part, the live one is taken. A log
    that shares nothing with it is another site's: it stays, and the live one is added to it, sealed anew.
    """
    listed = ", ".join(sql.name(column) for column in columns)
    loader.execute("SELECT set_config(%s, '', true)", (FOREIGN,))
    newest: Any = loader.execute("SELECT max(id), count(*) FROM public.audit_events").fetchone()
    last = int(newest[0] or 0)
    if not last:
        copy(live, loader, "audit_events", columns)
    else:
        copy(live, loader, "audit_events", columns, f"WHERE id >= {last}")
        same: Any = loader.execute(
            "SELECT count(*) FROM public.audit_events s JOIN pg_temp.live_audit_events l ON l.id = s.id "
            "AND l.seal = s.seal WHERE s.id = %s",
            (last,),
        ).fetchone()
        if not same[0]:
            return parted(live, loader, columns, listed)
    count = run(
        loader,
        f"INSERT INTO public.audit_events ({listed}) SELECT {listed} FROM pg_temp.live_audit_events WHERE id > {last}",
    )
    return f"{count} added"


def parted(live: Session, loader: Session, columns: Sequence[str], listed: str) -> str:
    """Bring the whole of the live log, as the file's is no beginning of it."""
    copy(live, loader, "audit_events", columns)
    row: Any = loader.execute(
        "SELECT (SELECT count(*) FROM pg_temp.live_audit_events), (SELECT count(*) FROM public.audit_events s "
        "JOIN pg_temp.live_audit_events l ON l.id = s.id AND l.seal = s.seal)"
    ).fetchone()
    there, shared = int(row[0]), int(row[1])
    if not there:
        return "the live database has none: those of the file stay"
    if shared:
        run(loader, "DELETE FROM public.audit_events")
        run(loader, f"INSERT INTO public.audit_events ({listed}) SELECT {listed} FROM pg_temp.live_audit_events")
        return f"{there} in place of the file's"
    loader.execute("SELECT set_config(%s, 'yes', true)", (FOREIGN,))
    # Its trigger numbers, seals and counts; it names its tables without their schema.
    run(loader, "SET LOCAL search_path = public, pg_catalog")
    run(loader, "ALTER TABLE public.audit_events ENABLE TRIGGER USER")
    kept = ", ".join(sql.name(column) for column in columns if column not in ("id", "seal"))
    count = run(
        loader,
        f"INSERT INTO public.audit_events ({kept}) SELECT {kept} FROM (SELECT * FROM pg_temp.live_audit_events l "
        f"WHERE NOT EXISTS (SELECT FROM public.audit_events s WHERE s.at = l.at AND s.event = l.event "
        f"AND s.detail = l.detail AND s.user_id IS NOT DISTINCT FROM l.user_id) ORDER BY l.id) l",
    )
    run(loader, "ALTER TABLE public.audit_events DISABLE TRIGGER USER")
    run(loader, "SET LOCAL search_path = ''")
    return f"{count} added to the log of another site"
