"""SQLite, for development stacks: copied whole while it is written to, and proven likewise."""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backup import settings, sqlite
from backup.error import StopError
from backup.url import Sqlite


def fill(path: Path) -> None:
    """Make a database with what can go wrong in one."""
    with closing(sqlite3.connect(path)) as session:
        session.executescript(
            """PRAGMA journal_mode = WAL; PRAGMA user_version = 42;
            CREATE TABLE "odd; name" (a, "b c" BLOB, UNIQUE (a)); CREATE TABLE plain (x TEXT PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE child (id INTEGER PRIMARY KEY AUTOINCREMENT, of REFERENCES plain (x));
            INSERT INTO plain VALUES ('1'), ('é'); INSERT INTO child (of) VALUES ('1'), ('nowhere');
            INSERT INTO "odd; name" VALUES (1, x'00ff'), ('1', NULL), (1.5, ''), (cast(x'ff41' AS TEXT), zeroblob(9));
            CREATE VIEW v AS SELECT * FROM plain; CREATE TABLE busy (i INTEGER);"""
        )


@pytest.fixture
def writing() -> Iterator[Callable[[Path], None]]:
    """Writes rows into a database until the test ends."""
    stop = threading.Event()
    threads = []

    def start(path: Path) -> None:
        def work() -> None:
            with closing(sqlite3.connect(path, timeout=30)) as session:
                while not stop.is_set():
                    session.execute("INSERT INTO busy VALUES (1)")
                    session.commit()

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def test_a_copy_is_what_was_read_while_others_write(tmp_path: Path, writing: Callable[[Path], None]) -> None:
    fill(tmp_path / "app.db")
    writing(tmp_path / "app.db")
    for number in range(5):
        copied = tmp_path / f"copy-{number}.db"
        held = sqlite.copy(tmp_path / "app.db", copied)
        sqlite.prove(copied, held, tmp_path / "proof")
        assert {table.name: table.rows for table in held.tables}["odd; name"] == 4
        assert held.objects == {"foreign key violations": 1, "user_version": 42, "application_id": 0}


def test_another_value_another_type_and_damage_are_found(tmp_path: Path) -> None:
    fill(tmp_path / "app.db")
    held = sqlite.copy(tmp_path / "app.db", tmp_path / "copy.db")
    for change in ("UPDATE \"odd; name\" SET a = '1.5' WHERE a = 1.5", "DROP VIEW v", "PRAGMA user_version = 1"):
        other = tmp_path / f"{uuid.uuid4().hex}.db"
        other.write_bytes((tmp_path / "copy.db").read_bytes())
        with closing(sqlite3.connect(other)) as session:
            session.execute(change)
            session.commit()
        with pytest.raises(StopError, match="is not the original"):
            sqlite.prove(other, held, tmp_path / "proof")
    content = bytearray((tmp_path / "copy.db").read_bytes())
    content[4096:8192] = os.urandom(4096)
    (tmp_path / "damaged.db").write_bytes(content)
    with pytest.raises(StopError, match="damaged"):
        sqlite.prove(tmp_path / "damaged.db", held, tmp_path / "proof")
    (tmp_path / "none.db").write_bytes(b"no database" * 100)
    chosen = settings.read({"BACKUP_DIR": str(tmp_path), "BACKUP_WORK_DIR": str(tmp_path / "work")})
    with pytest.raises(StopError, match="SQLite says"):
        sqlite.make(chosen, Sqlite(tmp_path / "none.db"), tmp_path)


def test_it_is_made_listed_verified_and_drilled_like_the_others(desk: Any) -> None:
    folder = desk.stage.root / "work" / f"app-{desk.folder.name}"
    folder.mkdir()
    fill(folder / "app.db")
    for path in (folder, *folder.iterdir()):
        os.chown(path, 10004, 10004)
    place = {"DATABASE_URL_FILE": "", "DATABASE_URL": f"sqlite:////var/lib/backup/{folder.name}/app.db"}
    done = desk.run("run", **place)
    assert done.status == 0, done.text
    assert sorted(path.name for path in (desk.folder / done.made).iterdir()) == ["database.db", "manifest.json"]
    assert desk.run("verify").status == 0
    assert desk.run("drill").status == 0
    assert [item["database"] for item in desk.listed()] == ["app"]
    missing = desk.run("run", DATABASE_URL_FILE="", DATABASE_URL="sqlite:////var/lib/backup/none.db")
    assert (missing.status, "no such file" in missing.errors) == (1, True)
