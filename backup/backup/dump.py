"""Writes a dump of one snapshot, while this program reads the same snapshot."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from pathlib import Path

import psycopg

from backup import connection, durable, line, program, reading, room
from backup.connection import Session
from backup.contents import Contents, Sequence
from backup.error import StopError
from backup.progress import Progress
from backup.snapshot import Snapshot
from backup.tools import Tools
from backup.url import Postgres

COMPRESSION = "zstd:3"
# Before 16, pg_dump has nothing but gzip.
OLD_COMPRESSION = "6"
POLL_SECONDS = 0.05


def compression(tools: Tools) -> str:
    """Return how the tools compress a dump."""
    return COMPRESSION if tools.major >= 16 else OLD_COMPRESSION


def command(tools: Tools, conninfo: str, snapshot: Snapshot, path: Path) -> list[str]:
    """Return the command that dumps a snapshot into a file."""
    return [
        tools.command("pg_dump"),
        "--format=custom",
        f"--compress={compression(tools)}",
        f"--snapshot={snapshot.identifier}",
        "--lock-wait-timeout=60s",
        "--no-password",
        f"--file={path}",
        f"--dbname={conninfo}",
    ]


class Reader:
    """Reads a snapshot's contents in a thread of its own, so that the dump is watched meanwhile.

    While the dump is written too, it rests after each bit as long as that took: together they would be two sessions
    that compute without a pause on the server that visitors wait for.
    """

    def __init__(self, session: Session) -> None:
        """Begin to read."""
        self.session = session
        self.contents: Contents | None = None
        self.error: BaseException | None = None
        self.at: tuple[str, int, int] = ("", 0, 0)
        self.alone = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self) -> None:
        """Read, and keep what came of it."""
        try:
            self.contents = reading.read(self.session, self.tick, self.alone.wait)
        except BaseException as error:  # told to the thread that waits
            self.error = error

    def tick(self, name: str, number: int, count: int) -> None:
        """Note where it is."""
        self.at = (name, number, count)

    def stop(self) -> None:
        """Have the server end what it reads, and wait for that."""
        self.alone.set()
        while self.thread.is_alive():
            with contextlib.suppress(psycopg.Error):
                self.session.cancel_safe(timeout=5)
            self.thread.join(0.5)


def write(tools: Tools, target: Postgres, session: Session, snapshot: Snapshot, path: Path, seconds: float) -> Contents:
    """Write the dump and return the contents it was made of; raise StopError when either fails.

    The session holds the snapshot, and so must outlive the dump.
    """
    deadline = time.monotonic() + seconds
    before = reading.sequences(session)
    with connection.access(target) as access:
        started = program.started(
            command(tools, access.conninfo, snapshot, path), environ=access.environ, descriptors=access.descriptors
        )
        with started as dumping:
            reader = Reader(session)
            progress = Progress("dump", lambda: {"bytes": size(path), **where(reader)})
            try:
                while dumping.running() or reader.thread.is_alive():
                    if not dumping.running():
                        dumping.finish()
                        reader.alone.set()
                    if reader.error is not None:
                        raise reader.error
                    if time.monotonic() > deadline:
                        raise StopError(f"the dump was not done within {seconds:.0f} s. BACKUP_STEP_TIMEOUT changes it")
                    progress.tick()
                    room.watch(path.parent)
                    if not dumping.wait(POLL_SECONDS):
                        continue
                    reader.thread.join(POLL_SECONDS)
            finally:
                reader.stop()
            dumping.finish()
            if dumping.words():
                line.say("warning", f"pg_dump: {dumping.words()}")
    if reader.error is not None:
        raise reader.error
    if reader.contents is None:
        raise StopError("the contents were not read to their end. Run it again")
    after = reading.sequences(session)
    durable.sync(path)
    progress.done(bytes=size(path), tables=len(reader.contents.tables), rows=reader.contents.rows)
    spans = tuple(Sequence(name, low, after.get(name, low)) for name, low in before.items())
    return replace(reader.contents, sequences=spans)


def where(reader: Reader) -> dict[str, object]:
    """Return which table is read now."""
    name, number, count = reader.at
    return {"reading": name, "tables_read": number, "tables": count}


def size(path: Path) -> int:
    """Return how large a file is so far."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def write_globals(tools: Tools, target: Postgres, path: Path, seconds: float) -> None:
    """Write the server's roles and tablespaces, without any password, into a file."""
    with connection.access(target) as access:
        arguments = [
            tools.command("pg_dumpall"),
            "--globals-only",
            "--no-role-passwords",
            "--no-password",
            f"--file={path}",
            f"--database={target.database}",
            f"--dbname={access.conninfo}",
        ]
        program.run(arguments, seconds=seconds, environ=access.environ, descriptors=access.descriptors)
    durable.sync(path)
