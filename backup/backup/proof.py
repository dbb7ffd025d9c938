"""The test restore: a dump is loaded into a throwaway server, and what comes of it is read there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psycopg

from backup import archive, connection, contents, line, program, reading, room, sql, throwaway
from backup.connection import Session, words
from backup.contents import Contents
from backup.error import StopError
from backup.progress import Progress
from backup.source import Source, bytes_of
from backup.throwaway import Server
from backup.tools import Tools

DATABASE = "proof"
LISTED = 10


class UnlikeError(StopError):
    """What was restored is not the original."""


class Proof(NamedTuple):
    """What a test restore showed besides equality: what it left out, the locale it had, and how large it was."""

    left_out: tuple[str, ...]
    locale: str
    bytes: int


def prove(
    tools: Tools, dump: Path, source: Source, wanted: Contents, folder: Path, seconds: float, needed: int = 0
) -> Proof:
    """Restore a dump and compare it with the contents of the original; raise StopError when it is not the same.

    `needed` are the bytes that it takes, as far as that is known.
    """
    progress = Progress("test restore")
    throwaway.sweep(folder)
    room.check([room.Room(folder, needed, "the test restore")])

    def tick() -> None:
        progress.tick()
        room.watch(folder)

    entries = archive.listing(tools, dump, seconds).entries
    selection = archive.select(entries, frozenset(schema_names(source)))
    try:
        with throwaway.started(tools, folder) as server:
            locale = prepare(server, source)
            load(tools, server, dump, selection, folder, seconds, tick)
            with connection.connect(server.as_loader(DATABASE)) as session:
                got = reading.read(session, lambda *_: progress.tick())
                taken = bytes_of(session)
    except OSError as error:
        raise StopError(
            f"test restore: {error.filename or folder}: {error.strerror}. Give BACKUP_WORK_DIR room"
        ) from None
    found = contents.differences(wanted, got)
    if found:
        more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
        raise UnlikeError(f"the restored dump is not the original: {'; '.join(found[:LISTED])}{more}")
    progress.done(tables=len(got.tables), rows=got.rows, left_out=len(selection.left_out))
    if selection.left_out:
        line.say("warning", "the test restore left out what only a superuser makes", entries=selection.left_out)
    return Proof(selection.left_out, locale, taken)


def schema_names(source: Source) -> list[str]:
    """Return the schemas that are made before the rest, because extensions are in them."""
    return sorted({extension.schema for extension in source.extensions} - {"pg_catalog", "public"})


def prepare(server: Server, source: Source) -> str:
    """Make the empty database with the roles and extensions that the dump refers to; return the locale it got.

    Roles have no password and no rights: policies and defaults only name them.
    """
    with connection.connect(server.as_admin()) as session:
        for role in source.roles:
            session.execute(f"CREATE ROLE {sql.name(role)} NOLOGIN".encode())
        locale = create_database(session, server, source)
    with connection.connect(server.as_admin(DATABASE)) as session:
        try:
            extend(session, server, source)
        except psycopg.Error as error:
            raise StopError(f"test restore: an extension could not be made: {words(error)}") from None
    return locale


def create_database(session: Session, server: Server, source: Source) -> str:
    """Create the database in the original's encoding and, where this machine has it, its locale."""
    owned = f"CREATE DATABASE {DATABASE} OWNER {sql.name(server.loader)} TEMPLATE template0"
    encoding = f"ENCODING {sql.string(source.encoding)}"
    try:
        session.execute(f"{owned} {encoding} {localised(source)}".encode())
    except psycopg.Error as error:
        # Only order and letter case depend on it, and what is compared does not depend on these.
        line.say(
            "warning", "the test restore has no such locale and takes C", wanted=source.collate, reason=words(error)
        )
        session.execute(f"{owned} {encoding} LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'".encode())
        return "C"
    return source.locale or source.collate


def localised(source: Source) -> str:
    """Return the part of CREATE DATABASE that gives it the original's locale."""
    parts = [f"LOCALE_PROVIDER {source.provider}"]
    parts += [f"LC_COLLATE {sql.string(source.collate)}", f"LC_CTYPE {sql.string(source.ctype)}"]
    if source.provider == "icu":
        parts.append(f"ICU_LOCALE {sql.string(source.locale)}")
    if source.provider == "builtin":
        parts.append(f"BUILTIN_LOCALE {sql.string(source.locale)}")
    return " ".join(parts)


def extend(session: Session, server: Server, source: Source) -> None:
    """Make the extensions, in their versions where these are here, and let the loader fill and use what is theirs."""
    loader = sql.name(server.loader)
    if "public" not in source.schemas:
        session.execute("DROP SCHEMA public")
    for schema in schema_names(source):
        session.execute(f"CREATE SCHEMA {sql.name(schema)} AUTHORIZATION {loader}".encode())
    for name, version, schema in source.extensions:
        known = f"name = {sql.string(name)} AND version = {sql.string(version)}"
        there = reading.rows(session, f"SELECT FROM pg_available_extension_versions WHERE {known}")
        chosen = f" VERSION {sql.string(version)}" if there else ""
        within = "" if schema == "pg_catalog" else f" SCHEMA {sql.name(schema)}"
        session.execute(f"CREATE EXTENSION IF NOT EXISTS {sql.name(name)}{within}{chosen}".encode())
    members = """SELECT c.oid::regclass::text FROM pg_extension e
        JOIN pg_class c ON c.oid = ANY (e.extconfig)"""
    for (relation,) in reading.rows(session, members):
        session.execute(f"GRANT ALL ON {relation} TO {loader}".encode())
    for (wrapper,) in reading.rows(session, "SELECT quote_ident(fdwname) FROM pg_foreign_data_wrapper"):
        session.execute(f"GRANT USAGE ON FOREIGN DATA WRAPPER {wrapper} TO {loader}".encode())


def load(
    tools: Tools,
    server: Server,
    dump: Path,
    selection: archive.Selection,
    folder: Path,
    seconds: float,
    tick: Callable[[], None],
) -> None:
    """Load the selected entries as a role that can do no harm outside this database."""
    chosen = folder / "entries"
    chosen.write_text("\n".join(selection.lines) + "\n", encoding="utf-8")
    with connection.access(server.as_loader(DATABASE)) as access:
        command = [
            tools.command("pg_restore"),
            "--exit-on-error",
            "--no-owner",
            "--no-acl",
            "--no-publications",
            "--no-subscriptions",
            "--no-tablespaces",
            "--no-password",
            f"--jobs={min(4, os.cpu_count() or 1)}",
            f"--use-list={chosen}",
            f"--dbname={access.conninfo}",
            str(dump),
        ]
        program.run(command, seconds=seconds, environ=access.environ, descriptors=access.descriptors, tick=tick)
