"""The steps for a database of a PostgreSQL server."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from backup import contents, durable, fault, line, sql
from backup.connection import Session
from backup.error import StopError
from backup.listing import size as short
from backup.url import Postgres
from restore import asking, carry, databases, heads, scratch, shape, stops
from restore.asking import Answer
from restore.context import Context
from restore.databases import Found, Swap
from restore.decision import Facts, Place
from restore.error import RejectedError, TransientError
from restore.heads import Schema
from restore.job import Job
from restore.switchboard import Ended, SwitchboardError

KINDS = ("sql", "dump")
SHAPE = "shape.json"
WANTED = "wanted.json"
LISTED = 10
INSPECT_SECONDS = 6 * 3600.0
MIGRATION_SECONDS = 3600.0
OWNER = "owner"
WRITTEN = """
SELECT coalesce(sum(tup_inserted + tup_updated + tup_deleted), 0)::bigint FROM pg_stat_database WHERE datname = %s
"""


def admin(context: Context) -> Postgres:
    """Return the way in as the role that makes and renames databases."""
    assert context.chosen.admin is not None  # noqa: S101 - settings see to it
    return context.chosen.admin


def loader(context: Context) -> Postgres:
    """Return the way in as the role that loads."""
    assert context.chosen.loader is not None  # noqa: S101 - settings see to it
    return context.chosen.loader


def coming(context: Context, job: Job) -> str:
    """Return the name of the database to come until it is live."""
    return str(job.data.get("incoming") or databases.name(admin(context).database, "r", job.id))


def aside(context: Context, job: Job) -> str:
    """Return the name of the live database once another one has its name."""
    return databases.name(admin(context).database, "pre", job.id)


def facts(context: Context, job: Job) -> Facts:
    """Return what is so on the server."""
    if not job.began("validate"):
        return Facts("old", open=True, scratch=False)
    live, incoming = admin(context).database, coming(context, job)
    with databases.session(admin(context)) as server:
        found = databases.about(server, (live, incoming))
    oid = found[live].oid if live in found else 0
    place: Place = "other"
    if oid and oid == job.data.get("new_oid"):
        place = "new"
    elif oid == job.data.get("old_oid", oid):
        place = "old"
    return Facts(place, found[live].open if live in found else True, incoming in found)


def validate(context: Context, job: Job) -> dict[str, Any]:
    """Have the loader read the file to its end, and compare what it needs with what is here."""
    answer = ask(context, job, "validate", {}, context.chosen.load_seconds)
    if not answer.ok:
        raise TransientError(answer.words) if answer.transient else RejectedError(answer.words)
    with databases.session(admin(context)) as server:
        found = databases.about(server, [admin(context).database]).get(admin(context).database)
        extensions(server, context, [name for name, _ in furniture(answer.facts)])
    live, trouble = schema(context, found)
    head = asking.text(answer.facts.get("head"))
    # A file whose data says nothing of it is asked again once it is loaded.
    upgrade = head != "" and fitting(head, live)
    size = asking.number(answer.facts, "bytes")
    free = context.room.free()
    if free is not None and free < size + context.chosen.keep_free:
        raise RejectedError(
            f"the database's disk has {short(free)} free, and the file needs about {short(size)} besides the "
            f"{short(context.chosen.keep_free)} that are kept free. Give it room, or drop what is kept: "
            f"RESTORE_KEEP_PREVIOUS"
        )
    return {
        "old_oid": found.oid if found else 0,
        "extensions": furniture(answer.facts),
        "live_head": live.head,
        "head": head,
        "upgrade": upgrade,
        "release": live.release,
        "live_trouble": trouble,
        "room": free if free is not None else "unknown",
        "format": asking.text(answer.facts.get("format")),
        "dumped_by": asking.text(answer.facts.get("dump_version")),
    }


def validate_undo(context: Context, job: Job) -> dict[str, Any]:
    """Look whether the kept database is there still, and what its schema is to the live one's."""
    live = admin(context).database
    with databases.session(admin(context)) as server:
        found = databases.about(server, (live, job.data["incoming"]))
    kept = found.get(job.data["incoming"])
    if kept is None or kept.oid != job.data["new_oid"]:
        raise RejectedError(f"the database {job.data['incoming']} is not there any more. See: python -m restore list")
    now, trouble = schema(context, found.get(live))
    with (
        databases.session(admin(context)) as server,
        entered(server, job.data["incoming"], shut=True),
        databases.session(admin(context), job.data["incoming"]) as session,
    ):
        then = heads.read(session)
    return {
        "old_oid": found[live].oid if live in found else 0,
        "owner": kept.owner,
        "head": then.head,
        "live_head": now.head,
        "upgrade": fitting(then.head, now),
        "release": now.release,
        "live_trouble": trouble,
    }


def schema(context: Context, found: Found | None) -> tuple[Schema, str]:
    """Return the live database's schema, or why it cannot be read."""
    if found is None:
        return Schema(), "the live database is not there"
    live = admin(context).database
    try:
        with (
            databases.session(admin(context)) as server,
            entered(server, live, shut=not found.open),
            databases.session(admin(context), live) as session,
        ):
            return heads.read(session), ""
    except TransientError as error:
        with databases.session(admin(context)):
            # The server answers, so it is the database that does not.
            return Schema(), str(error)
    except StopError as error:
        return Schema(), str(error)


def fitting(head: str, live: Schema) -> bool:
    """Tell whether a revision has to be upgraded; raise RejectedError for one that nothing here can work with."""
    found = heads.fit(head, live)
    if found == "none":
        raise RejectedError(
            f"it has no alembic_version, and the live database is at {live.head}: it is not the app's database. Put in "
            f"a dump of the whole database"
        )
    if found == "ahead":
        known = f": {live.left_by[head]} was the last one here" if head in live.left_by else ""
        raise RejectedError(
            f"its schema is at {head}, and the release that runs knows no way there from {live.head}. Deploy a release "
            f"that has {head} first{known}; then put the file in again"
        )
    return found == "behind"


def furniture(facts: Mapping[str, Any]) -> list[list[str]]:
    """Return the extensions that a file wants, each with its schema."""
    names, schemas = asking.names(facts, "extensions"), asking.names(facts, "extensions", "schema")
    pairs = zip(names, schemas, strict=True) if len(names) == len(schemas) else ((name, "") for name in names)
    return [[name, schema] for name, schema in pairs if name != "plpgsql"][:100]


def extensions(server: Session, context: Context, wanted: list[str]) -> None:
    """Raise RejectedError for an extension that is not here, not allowed, or not one that this role can make."""
    allowed = context.chosen.extensions
    there = databases.available(server, wanted)
    for name in wanted:
        if allowed and name not in allowed:
            raise RejectedError(f"it wants the extension {name}, which RESTORE_EXTENSIONS does not list")
        if name not in there:
            raise RejectedError(f"it wants the extension {name}, which the server does not have. Install its package")
        if not there[name]:
            raise RejectedError(
                f"it wants the extension {name}, which only a superuser can make, so it cannot be made for a restore"
            )


def before_load(context: Context, job: Job) -> dict[str, Any]:
    """Return what is written down before the database to come is made."""
    return {"scratch": coming(context, job)}


def load(context: Context, job: Job) -> dict[str, Any]:
    """Make the database to come, and have the loader fill it."""
    incoming, live = coming(context, job), admin(context).database
    with databases.session(admin(context)) as server:
        found = databases.about(server, (live, incoming))
        if incoming in found:
            asking.cancel(context.shared(job.id))
            databases.drop(server, incoming, found[incoming].oid)
        owner = found[live].owner if live in found else OWNER
        oid = databases.create(server, incoming, owner, found.get(live))
        fault.point("load:created")
        context.write(job.id, "load", "made", {"new_oid": oid, "owner": owner, "written": written(server, live)})
    with databases.session(admin(context), incoming) as session:
        furnish(context, session, incoming, owner, [(name, place) for name, place in job.data.get("extensions", ())])
    fault.point("load:asked")
    answer = ask(context, job, "load", {"database": incoming}, context.chosen.load_seconds)
    if not answer.ok:
        raise TransientError(answer.words) if answer.transient else StopError(answer.words)
    return {
        "loaded_rows": asking.number(answer.facts, "rows"),
        "load_ignored": [asking.text(item) for item in asking.names(answer.facts, "ignored")[:50]],
    }


def furnish(context: Context, session: Session, database: str, owner: str, wanted: list[tuple[str, str]]) -> None:
    """Make the extensions while nothing of the file is there yet, and let the loader in."""
    role = loader(context).keywords["user"]
    with session.transaction():
        for statement in (*scratch.opened(database, role), *scratch.prepared(wanted, role)):
            session.execute(statement.encode())
        # Extensions are the owner's, as the live database's are: who upgrades it may upgrade them.
        session.execute(f"REASSIGN OWNED BY CURRENT_USER TO {sql.name(owner)}".encode())


def written(server: Session, database: str) -> int:
    """Return how many rows have been written to a database, ever."""
    row: Any = server.execute(WRITTEN, (database,)).fetchone()
    return int(row[0])


def verify(context: Context, job: Job) -> dict[str, Any]:
    """Have the loader look what it loaded, compare that, and try all that is to happen while the app is down."""
    incoming = coming(context, job)
    answer = ask(context, job, "inspect", {"database": incoming, "smoke": context.chosen.smoke}, INSPECT_SECONDS)
    if not answer.ok:
        raise TransientError(answer.words) if answer.transient else StopError(answer.words)
    compare(context, job, answer)
    sound(answer)
    live = admin(context).database
    with databases.session(admin(context)) as server:
        found = databases.about(server, [live]).get(live)
    known, _ = schema(context, found)
    head = asking.text(answer.facts.get("head"))
    upgrade = fitting(head, known)
    trouble = keep_shape(context, job, found)
    rehearse(context, job, incoming, found)
    tables = answer.facts.get("tables")
    return {
        "head": head,
        "upgrade": upgrade,
        "rows": sum(asking.number(item, "rows") for item in tables if isinstance(item, dict))
        if isinstance(tables, list)
        else 0,
        "tables": len(tables) if isinstance(tables, list) else 0,
        **({"live_trouble": trouble} if trouble else {}),
    }


def rehearse(context: Context, job: Job, incoming: str, found: Found | None) -> None:
    """Try what is to be done while the app is down, and do what of it will be less to do then."""
    live = admin(context).database
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(databases.session(admin(context)))
        reader = None
        if found is not None:
            stack.enter_context(entered(server, live, shut=not found.open))
            with contextlib.suppress(TransientError):
                reader = stack.enter_context(databases.session(admin(context), live))
        with databases.session(admin(context), incoming) as session:
            lend(session, incoming, loader(context).keywords["user"])
        target = stack.enter_context(databases.session(loader(context), incoming))
        carry.carry(reader, target)
    with databases.session(admin(context), incoming) as session, contextlib.suppress(Rehearsed), session.transaction():
        hand_over(context, job, session, incoming)
        raise Rehearsed


def recheck(context: Context, job: Job) -> dict[str, Any]:
    """Look, once no migration can come any more, whether one has moved the live schema since the file was looked at."""
    with databases.session(admin(context)) as server:
        found = databases.about(server, [admin(context).database]).get(admin(context).database)
    known, _ = schema(context, found)
    if known.head == job.data.get("live_head"):
        return {}
    return {"live_head": known.head, "release": known.release, "upgrade": fitting(str(job.data.get("head", "")), known)}


def shut(context: Context, job: Job) -> dict[str, Any]:
    """Shut the live database before anything is loaded."""
    del job
    live = admin(context).database
    with databases.session(admin(context)) as server:
        found = databases.about(server, [live]).get(live)
        if found is not None:
            databases.let_in(server, live, False)
            databases.empty(server, found.oid)
    return {}


class Rehearsed(Exception):  # noqa: N818 - it is no error: it takes a rehearsal back
    """Ends a transaction that only tried whether it could be done."""


def compare(context: Context, job: Job, answer: Answer) -> None:
    """Raise StopError when what was loaded is not what the file's manifest says that it holds."""
    path = context.processing(job.id) / WANTED
    if not path.exists():
        return
    wanted = contents.from_document(json.loads(path.read_bytes()))
    try:
        unlike = contents.differences(wanted, contents.from_document(answer.facts))
    except (TypeError, ValueError, KeyError, AttributeError):
        raise StopError("the loader's account of the tables cannot be read. Look at its log") from None
    if unlike:
        raise StopError(f"what was loaded is not what was backed up: {'; '.join(unlike[:LISTED])}. Take another backup")


def sound(answer: Answer) -> None:
    """Raise StopError for an index that was not finished, or a statement of RESTORE_SMOKE_SQL that did not succeed."""
    broken = asking.names(answer.facts, "invalid_indexes")
    if broken:
        raise StopError(f"indexes are not valid after the load: {', '.join(broken[:LISTED])}. Take another file")
    tried = answer.facts.get("smoke")
    for item in tried if isinstance(tried, list) else ():
        if not isinstance(item, dict) or item.get("ok") is not True:
            reason = asking.text(item.get("reason")) if isinstance(item, dict) else ""
            raise StopError(f"RESTORE_SMOKE_SQL: did not succeed on what was loaded: {reason or 'no reason given'}")


def keep_shape(context: Context, job: Job, found: Found | None) -> str:
    """Write down whose things are and who may do what with them; return why the live database could not be asked."""
    trouble = ""
    known = None
    live = admin(context).database
    if found is not None:
        limit = int(found.about.get("datconnlimit", -1))
        try:
            with (
                databases.session(admin(context)) as server,
                entered(server, live, shut=not found.open),
                databases.session(admin(context), live) as session,
            ):
                known = shape.read(session, found.owner, limit)
        except StopError as error:
            trouble = str(error)
    if known is None:
        with databases.session(admin(context)) as server:
            there = server.execute("SELECT FROM pg_roles WHERE rolname = %s", (shape.GROUP,)).fetchone()
        known = shape.usual(str(job.data.get("owner", OWNER)), shape.GROUP if there is not None else "")
    content = json.dumps(shape.document(known), sort_keys=True).encode()
    durable.write(context.processing(job.id) / SHAPE, content)
    return trouble


def hand_over(context: Context, job: Job, session: Session, incoming: str) -> list[str]:
    """Give everything in the database to come to the app's owner; return what rights could not be given."""
    path = context.processing(job.id) / SHAPE
    if path.exists():
        known = shape.from_document(json.loads(path.read_bytes()))
        return shape.hand_over(session, incoming, loader(context).keywords["user"], known)
    take_back(session, loader(context).keywords["user"], str(job.data.get("owner", OWNER)))
    return []


def take_back(session: Session, role: str, owner: str) -> None:
    """Give what was lent to the loader back to its owner."""
    with session.transaction():
        shape.take(session, role, owner)


def lend(session: Session, database: str, role: str) -> None:
    """Lend the loader the tables that security is about, as only their owner may write to them with triggers off."""
    with session.transaction():
        session.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {sql.name(database)} TO {sql.name(role)}".encode())
        there: Any = session.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' "
            "AND c.relname = ANY (%s) AND c.relowner <> %s::regrole",
            (list(carry.TABLES), sql.name(role)),
        ).fetchall()
        if there:
            session.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {sql.name(role)}".encode())
        for (table,) in there:
            session.execute(f"ALTER TABLE public.{sql.name(table)} OWNER TO {sql.name(role)}".encode())


@contextlib.contextmanager
def entered(server: Session, database: str, *, shut: bool) -> Iterator[None]:
    """Open a shut database for as long as it takes to get in, and shut it again."""
    if not shut:
        yield
        return
    databases.let_in(server, database, True)
    try:
        yield
    finally:
        databases.let_in(server, database, False)


def fence(context: Context, job: Job) -> dict[str, Any]:
    """Shut the live database, carry forward what must not be undone, and make the one to come ready for its name."""
    live, incoming = admin(context).database, coming(context, job)
    role = loader(context).keywords["user"]
    with databases.session(admin(context)) as server:
        found = databases.about(server, (live, incoming))
        there = found.get(live)
        databases.let_in(server, incoming, True)
        with databases.session(admin(context), incoming) as session:
            lend(session, incoming, role)
        with reading_live(context, server, there) as (reader, ended, trouble):
            fault.point("fence:shut")
            with databases.session(loader(context), incoming) as target:
                result = carry.carry(reader, target, factors=context.chosen.factors)
        now = written(server, live)
        with databases.session(admin(context), incoming) as session:
            left = hand_over(context, job, session, incoming)
        fault.point("fence:handed")
        databases.let_in(server, incoming, False)
        databases.empty(server, found[incoming].oid)
    if result.unread:
        line.say("warning", "some of what must not be undone could not be read", tables=result.unread)
    return {
        "security": result.done,
        "security_unread": result.unread,
        "late": [table for table, told in result.done.items() if told.startswith("not in the file")],
        "sessions_ended": ended,
        "rights_left": left[:50],
        "discarded": max(0, now - int(job.data.get("written", now))),
        **({"live_trouble": trouble} if trouble else {}),
    }


@contextlib.contextmanager
def reading_live(context: Context, server: Session, found: Found | None) -> Iterator[tuple[Session | None, int, str]]:
    """Lend a session in the live database, which is shut to everybody else; None when it cannot be got into."""
    if found is None:
        yield None, 0, "the live database is not there"
        return
    live = admin(context).database
    if not found.open:
        databases.let_in(server, live, True)
    try:
        with contextlib.ExitStack() as stack:
            trouble = ""
            try:
                reader = stack.enter_context(databases.session(admin(context), live))
                pid: Any = reader.execute("SELECT pg_backend_pid()").fetchone()
                keep = (int(pid[0]),)
            except (TransientError, psycopg.Error) as error:
                server.execute("SELECT 1")
                reader, keep, trouble = None, (), str(error)  # type: ignore[assignment]
            databases.let_in(server, live, False)
            ended = databases.empty(server, found.oid, keep)
            yield reader, ended, trouble
    finally:
        with contextlib.suppress(psycopg.Error):
            databases.let_in(server, live, False)


def before_swap(context: Context, job: Job) -> dict[str, Any]:
    """Return what is written down before the names change."""
    return {"aside": aside(context, job), "incoming_name": coming(context, job)}


def swap(context: Context, job: Job) -> dict[str, Any]:
    """Give the database to come the live name."""
    asked = Swap(
        live=admin(context).database,
        old=int(job.data["old_oid"]),
        aside=aside(context, job),
        incoming=coming(context, job),
        new=int(job.data["new_oid"]),
    )
    with databases.session(admin(context)) as server:
        found = databases.about(server, (asked.live, asked.incoming))
        for name, oid in ((asked.live, asked.old), (asked.incoming, asked.new)):
            if name in found and found[name].oid == oid:
                databases.let_in(server, name, False)
                databases.empty(server, oid)
        databases.swap(server, asked)
    return {}


def open_up(context: Context, job: Job) -> dict[str, Any]:
    """Let the app into the database that is live now."""
    del job
    with databases.session(admin(context)) as server:
        databases.let_in(server, admin(context).database, True)
    return {}


def upgrade(context: Context, job: Job) -> dict[str, Any]:
    """Have the newest release's migrations bring an older schema up to date, then carry what had no table before."""
    if not job.data.get("upgrade"):
        return {}
    # A migration takes the lock itself.
    context.release()
    ended = migrated(context, str(job.data.get("release", "")))
    context.hold(job.id)
    if ended.status != 0:
        raise StopError(
            f"the migrations of release {job.data.get('release')} ended with status {ended.status}: "
            f"{' | '.join(ended.lines[-5:])}"
        )
    late = [str(table) for table in job.data.get("late", ())]
    return {"upgraded": True, **({"security_late": later(context, job, late)} if late else {})}


def migrated(context: Context, release: str) -> Ended:
    """Run a release's migrations; raise StopError where nobody knows whose, or they cannot be run."""
    if not release:
        raise StopError(
            "the file's schema is older, and the live database's ledger names no release that could upgrade it. Deploy "
            "one: make up"
        )
    try:
        return context.board.run_migration(release, MIGRATION_SECONDS)
    except SwitchboardError as error:
        raise stops.told(error) from None


def later(context: Context, job: Job, tables: list[str]) -> dict[str, str]:
    """Carry forward the tables that the file was too old to have, from the database that was live before."""
    live, before = admin(context).database, aside(context, job)
    role = loader(context).keywords["user"]
    with databases.session(admin(context)) as server:
        with databases.session(admin(context), live) as session:
            lend(session, live, role)
        with (
            entered(server, before, shut=True),
            databases.session(admin(context), before) as reader,
            databases.session(loader(context), live) as target,
        ):
            result = carry.carry(reader, target, only=tables)
        with databases.session(admin(context), live) as session:
            take_back(session, role, str(job.data.get("owner", OWNER)))
    return {**result.done, **result.unread}


def back(context: Context, job: Job) -> dict[str, Any]:
    """Give the old database its name again."""
    live, incoming = admin(context).database, coming(context, job)
    old, new = int(job.data["old_oid"]), int(job.data["new_oid"])
    with databases.session(admin(context)) as server:
        databases.let_in(server, live, False)
        databases.empty(server, new)
        if old:
            databases.swap(server, Swap(live, new, incoming, aside(context, job), old))
        else:
            databases.rename(server, live, incoming)
    return {}


def reopen(context: Context, job: Job) -> dict[str, Any]:
    """Let the app into the old database again."""
    live, incoming = admin(context).database, coming(context, job)
    with databases.session(admin(context)) as server:
        if job.order == "undo":
            databases.let_in(server, incoming, False)
        databases.let_in(server, live, True)
    return {}


def discard(context: Context, job: Job) -> dict[str, Any]:
    """Drop the database that did not come to be live."""
    incoming = coming(context, job)
    asking.cancel(context.shared(job.id))
    with databases.session(admin(context)) as server:
        found = databases.about(server, [incoming]).get(incoming)
        if found is not None:
            databases.drop(server, incoming, found.oid)
    return {}


def kept(context: Context, job: Job) -> dict[str, Any] | None:
    """Return the database that was live before, as it is kept; None where there was none."""
    oid = int(job.data.get("old_oid", 0))
    if not oid:
        return None
    with databases.session(admin(context)) as server:
        count = written(server, admin(context).database)
    # Who goes back to it later is told how much has been written since.
    return {"job": job.id, "name": aside(context, job), "oid": oid, "at": time.time(), "written": count}


def forget(context: Context, name: str, oid: int) -> None:
    """Drop a database that is kept no more."""
    with databases.session(admin(context)) as server:
        databases.drop(server, name, oid)


def traces(context_target: Postgres) -> Iterator[str]:
    """Tell of databases that only a restore can have left."""
    with databases.session(context_target) as server:
        found: Any = server.execute(
            "SELECT datname FROM pg_database WHERE datname ~ '__(r|pre)_[a-z0-9]{12,}$' ORDER BY datname"
        ).fetchall()
    for (name,) in found:
        yield f"the database {name}"


def ask(context: Context, job: Job, verb: str, fields: Mapping[str, object], seconds: float) -> Answer:
    """Ask the loader, watching the room that the database has meanwhile."""
    limits = {"kind": job.data["kind"], "max_bytes": context.chosen.most_bytes}

    def tick(progress: Mapping[str, object]) -> None:
        free = context.room.free()
        if free is not None and free < context.chosen.keep_free:
            asking.cancel(context.shared(job.id))
            raise StopError(
                f"the database's disk has {short(free)} left, and {short(context.chosen.keep_free)} are kept free, so "
                f"the load was given up. Give it room, then put the file in again"
            )
        context.tick({"step": job.step, **progress})

    if verb != "validate":
        # Nothing of it is in the database yet; and a short load may have ended before anybody looked.
        context.room.renew()
        tick({})
    return asking.ask(context.shared(job.id), verb, {**limits, **fields}, seconds, context.chosen.answer_seconds, tick)
