"""`recover`: the newest good backup of the bucket, loaded into a database that has nothing in it yet."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psycopg

from backup import (
    archive,
    catalogue,
    connection,
    contents,
    kit,
    line,
    offsite,
    program,
    proof,
    reading,
    settings,
    sql,
    tools,
    url,
    verify,
)
from backup.bucket import Bucket
from backup.catalogue import Entry
from backup.connection import Session, words
from backup.error import StopError
from backup.manifest import Manifest
from backup.progress import Progress
from backup.settings import Settings
from backup.url import Postgres

KEY = Path("/tmp/recovery.key")  # noqa: S108 - in the container's own memory, which nobody else sees
KEY_SECONDS = 900
POLL_SECONDS = 0.2
LISTED = 10
MARK = "recovering "
"""How a database's comment begins, before the backup's name, until what was loaded has been compared."""
DONE = "recovered "
"""How it begins from then on, before what was loaded."""
TABLES = f"""SELECT count(*)::int FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND {reading.OWN} AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"""  # noqa: S608 - constants
COMMENT = """SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database
    WHERE datname = current_database()"""


def hand(arguments: Sequence[str]) -> int:
    """Take the key that decrypts backups from standard input, for the `recover` beside; nothing keeps it."""
    if arguments:
        line.say("error", f"key: got {len(arguments)} words, wanted none; the key comes on standard input")
        return 2
    try:
        new = KEY.with_suffix(".new")
        kit.private(new, kit.taken(sys.stdin.buffer))
        new.rename(KEY)
    except (StopError, OSError) as error:
        line.say("error", str(error))
        return 1
    return 0


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Load a backup, the newest good one for `latest`; return 0 when the database is what it was."""
    if len(arguments) != 1:
        line.say("error", "recover: wanted the name of one backup in the bucket, or latest")
        return 2
    try:
        chosen, target = settings.read(environ), server(environ)
        session = Bucket(offsite.needed(environ))
        lock = catalogue.claim(chosen.folder, wait=True)
        try:
            recover(chosen, target, session, arguments[0])
        finally:
            os.close(lock)
            KEY.unlink(missing_ok=True)
    except (StopError, OSError, psycopg.Error) as error:
        line.say("error", str(error))
        return 1
    return 0


def server(environ: Mapping[str, str]) -> Postgres:
    """Return the database to load into; raise StopError for one that is not PostgreSQL's."""
    target = url.find(environ)
    if not isinstance(target, Postgres):
        raise StopError("DATABASE_URL: wanted a PostgreSQL database to load the backup into")
    return target


def recover(chosen: Settings, target: Postgres, bucket: Bucket, name: str) -> None:
    """Bring the backup here, decrypt it, load it and compare; a database that holds something is left alone."""
    comment, tables = holds(target)
    if tables and comment.startswith(DONE):
        # By a run that was cut off and whose job went on.
        line.say("info", "the backup has been loaded already", **json.loads(comment.removeprefix(DONE)))
        return
    loaded = comment.removeprefix(MARK) if comment.startswith(MARK) else ""
    if tables and not loaded:
        line.say("warning", "the database holds tables already: nothing was loaded", tables=tables)
        return
    entry, found = brought(chosen, bucket, loaded if tables else name)
    if not tables:
        folder = chosen.work / "recovery"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        try:
            opened = verify.clear(with_key(chosen, found), entry, found, "dump", folder)
            KEY.unlink(missing_ok=True)
            load(target, found, opened, folder, chosen.step_seconds)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    compare(target, found)
    line.say("info", "the database is what the backup holds", **about(found))


def about(found: Manifest) -> dict[str, object]:
    """Return what is told of the backup that was loaded."""
    return {"id": found.id, "of": found.created, "tables": len(found.contents["tables"]), "rows": found.rows}


def holds(target: Postgres) -> tuple[str, int]:
    """Return the database's comment, in which a load leaves how far it came, and how many tables it has."""
    with connection.connect(target) as session:
        ((comment,),) = reading.rows(session, COMMENT)
        ((tables,),) = reading.rows(session, TABLES)
    return comment, tables


def brought(chosen: Settings, bucket: Bucket, name: str) -> tuple[Entry, Manifest]:
    """Return a backup that is here, fetched where it was not, with every byte of it right."""
    identifier = newest(offsite.listed(bucket, chosen)) if name == "latest" else name
    if not (chosen.folder / identifier).is_dir():
        offsite.bring(bucket, chosen, identifier)
    entry = catalogue.one(chosen.folder, identifier, chosen.keys)
    if entry.manifest is None:
        raise StopError(f"{identifier}: {entry.trouble}")
    if entry.manifest.kind != "postgres":
        raise StopError(f"{identifier}: is of {entry.manifest.kind}, wanted one of PostgreSQL. Name another: BACKUP=ID")
    verify.intact(entry, entry.manifest)
    return entry, entry.manifest


def newest(copies: Mapping[str, Manifest]) -> str:
    """Return the newest that counts; raise StopError where none does."""
    good = [name for name, copy in copies.items() if copy.level in ("restored", "drilled") and not copy.suspect]
    if not good:
        raise StopError(
            f"the bucket has no backup that counts; those there: {', '.join(sorted(copies)) or 'none'}. "
            "Look at BACKUP_S3_PREFIX, or name one: BACKUP=ID"
        )
    passed = sorted(name for name in copies if name > max(good))
    if passed:
        line.say("warning", "newer ones look wrong and are passed over: BACKUP=ID takes one all the same", ids=passed)
    return max(good)


def with_key(chosen: Settings, found: Manifest) -> Settings:
    """Return the settings with the key that decrypts, once it has been handed in."""
    if not found.recipients or chosen.identity is not None:
        return chosen
    progress = Progress("the key that decrypts the backup")
    ends = time.monotonic() + KEY_SECONDS
    while not KEY.exists():
        if time.monotonic() > ends:
            raise StopError(f"nobody handed in the key that decrypts {found.id} within {KEY_SECONDS // 60} minutes")
        progress.tick()
        time.sleep(POLL_SECONDS)
    return replace(chosen, identity=KEY)


def load(target: Postgres, found: Manifest, dump: Path, folder: Path, seconds: float) -> None:
    """Load the dump in one transaction, with the rights that are in it, as the owner of everything."""
    progress = Progress("load")
    programs, source = tools.find(), verify.origin(found)
    entries = archive.listing(programs, dump, seconds).entries
    selection = archive.select(entries, frozenset(proof.schema_names(source)))
    with connection.connect(target) as session:
        mark(session, target, MARK + found.id)
        extend(session, source.extensions, proof.schema_names(source))
    chosen = folder / "entries"
    chosen.write_text("\n".join(selection.lines) + "\n", encoding="utf-8")
    with connection.access(target) as access:
        command = [
            programs.command("pg_restore"),
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-publications",
            "--no-subscriptions",
            "--no-tablespaces",
            "--no-password",
            f"--use-list={chosen}",
            f"--dbname={access.conninfo}",
            str(dump),
        ]
        # In one transaction: all of it is there afterwards, or nothing.
        program.run(
            command, seconds=seconds, environ=access.environ, descriptors=access.descriptors, tick=progress.tick
        )
    if selection.left_out:
        line.say("warning", "left out, since only a superuser makes it: make it by hand", entries=selection.left_out)
    progress.done(bytes=dump.stat().st_size)


def extend(session: Session, extensions: Sequence[reading.Extension], schemas: Sequence[str]) -> None:
    """Make the schemas and extensions that the dump relies on; raise StopError for one that the owner may not make."""
    for schema in schemas:
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {sql.name(schema)}".encode())
    for name, _, schema in extensions:
        within = "" if schema == "pg_catalog" else f" SCHEMA {sql.name(schema)}"
        try:
            session.execute(f"CREATE EXTENSION IF NOT EXISTS {sql.name(name)}{within}".encode())
        except psycopg.Error as error:
            raise StopError(
                f"the extension {name} cannot be made: {words(error)}. Make it as superuser first"
            ) from None


def compare(target: Postgres, found: Manifest) -> None:
    """Read what was loaded; raise StopError where it is not what the backup holds."""
    progress = Progress("comparison")
    with connection.connect(target) as session:
        got = reading.read(session, lambda *_: progress.tick())
        unlike = contents.differences(contents.from_document(found.contents), got)
        if unlike:
            raise StopError(
                f"what was loaded is not what the backup {found.id} holds: {'; '.join(unlike[:LISTED])}. "
                "Begin again with an empty database, and another backup: BACKUP=ID"
            )
        session.execute("ANALYZE")
        mark(session, target, DONE + json.dumps(about(found)))
    progress.done(tables=len(got.tables), rows=got.rows)


def mark(session: Session, target: Postgres, comment: str) -> None:
    """Write a comment on the database."""
    session.execute(f"COMMENT ON DATABASE {sql.name(target.database)} IS {sql.string(comment)}".encode())
