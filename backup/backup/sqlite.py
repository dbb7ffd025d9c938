"""The steps for SQLite: a copy by its backup interface, opened elsewhere, checked and compared."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from backup import contents, durable, fault, room
from backup.contents import Contents, Table
from backup.error import StopError
from backup.made import Made, Piece
from backup.progress import Progress
from backup.proof import UnlikeError
from backup.settings import Settings
from backup.url import Sqlite

NAME = "database.db"
BUSY_SECONDS = 30.0
PAGES = 4096
WHOLE = 1 << 128


def make(chosen: Settings, target: Sqlite, folder: Path) -> Made:
    """Copy the database, and compare what the copy holds with what was read in the same transaction."""
    path = folder / NAME
    with told(target.path):
        taken = target.path.stat().st_size if target.path.is_file() else 0
        places = ((chosen.folder, "the copy"), (chosen.work, "the test restore"))
        room.check([room.Room(place, taken, what) for place, what in places])
        held = copy(target.path, path)
    fault.point("restore:before")
    prove(path, held, chosen.work / "proof")
    return Made(
        pieces=(Piece(path, "sqlite", "sqlite3"),),
        server={"version": sqlite3.sqlite_version},
        snapshot={},
        contents=held,
        verify={
            "level": "restored",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "by": f"SQLite {sqlite3.sqlite_version}",
        },
    )


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite says into a StopError that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise StopError(f"{path}: SQLite says: {error}. Look whether it is the app's database and is whole") from None


def copy(source: Path, to: Path) -> Contents:
    """Copy a database and return what it held, both by one read transaction."""
    if not source.is_file():
        raise StopError(f"{source}: no such file, wanted the app's SQLite database. Correct DATABASE_URL")
    fault.point("dump:before")
    progress = Progress("copy")
    with closing(connect(source)) as session, closing(sqlite3.connect(to)) as copied:
        session.execute("BEGIN")
        held = read(session, progress.tick)
        session.backup(copied, pages=PAGES, progress=lambda *_: progress.tick())
        session.execute("ROLLBACK")
    durable.sync(to)
    progress.done(bytes=to.stat().st_size, tables=len(held.tables), rows=held.rows)
    return held


def connect(path: Path) -> sqlite3.Connection:
    """Open a database that is there, for reading."""
    session = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    session.isolation_level = None
    # Text that is no UTF-8 is copied all the same, so it has to be read too.
    session.text_factory = lambda data: ("text", bytes(data))
    return session


def prove(copied: Path, wanted: Contents, folder: Path) -> None:
    """Open a copy of the copy as the app would, check it and compare it; raise StopError when it is not the same."""
    progress = Progress("test restore")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        path = folder / NAME
        shutil.copyfile(copied, path)
        with told(copied), closing(connect(path)) as session:
            found = [decoded(row[0]) for row in session.execute("PRAGMA integrity_check(5)")]
            if found != ["ok"]:
                raise UnlikeError(f"the copied database is damaged: {'; '.join(found)}")
            got = read(session, progress.tick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    unlike = contents.differences(wanted, got)
    if unlike:
        raise UnlikeError(f"the copied database is not the original: {'; '.join(unlike[:10])}")
    progress.done(tables=len(got.tables), rows=got.rows)


def read(session: sqlite3.Connection, tick: Callable[[], None]) -> Contents:
    """Return what the session sees: every table's rows, and everything the schema says."""
    schema = [tuple(decoded(value) for value in row) for row in session.execute(SCHEMA)]
    tables = [Table("sqlite_schema", len(schema), digest(schema))]
    for kind, name, text in schema:
        # A virtual table's rows are in tables of its own, which are in the list too.
        if kind == "table" and not text.upper().startswith("CREATE VIRTUAL"):
            quoted = '"' + name.replace('"', '""') + '"'
            count, total = 0, 0
            for row in session.execute(f"SELECT * FROM {quoted}"):  # noqa: S608 - quoted
                count, total = count + 1, (total + fingerprint(row)) % WHOLE
                if count % 10_000 == 0:
                    tick()
            tables.append(Table(name, count, f"{total:032x}"))
    violations = sum(1 for _ in session.execute("PRAGMA foreign_key_check"))
    marks = {name: session.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")}
    return Contents(tables=tuple(tables), objects={"foreign key violations": violations, **marks})


SCHEMA = "SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name"


def digest(rows: list[tuple[str, ...]]) -> str:
    """Return a hash of rows that does not depend on their order."""
    return f"{sum(fingerprint(row) for row in rows) % WHOLE:032x}"


def fingerprint(row: tuple[object, ...]) -> int:
    """Return a number that stands for a row's values and their types."""
    return int.from_bytes(hashlib.sha256(repr(row).encode()).digest()[:16], "big")


def decoded(value: object) -> str:
    """Return a value as text."""
    return value[1].decode("utf-8", "replace") if isinstance(value, tuple) else str(value)
