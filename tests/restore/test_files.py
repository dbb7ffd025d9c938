"""SQLite files: restored by an exchange at one moment, whatever the file is like and whenever the service is killed."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

STEPS = ("claim", "validate", "load", "verify", "stop", "fence", "swap", "open", "upgrade", "start", "file")
POINTS = [
    *(f"{step}.{phase}:{when}" for step in STEPS for phase in ("begin", "done") for when in ("before", "after")),
    "claim:copied", "claim:moved", "load:asked", "load.made:before", "load.made:after", "swap:between", "swap:renamed",
    "swap:committed", "file:moved", "job.end:before", "job.end:after",
]  # fmt: skip


class Place:
    """A live file, a queue beside it, and the service on them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.live = root / "data/app.db"
        self.queue = root / "restore/incoming"
        for folder in (self.live.parent, self.queue, root / "spool"):
            folder.mkdir(parents=True)
        write(self.live, "old")
        self.live.chmod(0o640)
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "backup"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RESTORE_WATCH_DIR": str(self.queue),
            "RESTORE_SPOOL_DIR": str(root / "spool"),
            "RESTORE_SQLITE_PATH": str(self.live),
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "restore", *arguments]

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env={**self.environ, **environ}, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip

    def drain(self, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.run("watch", "--once", **environ)

    def put(self, content: bytes, name: str = "new.db") -> None:
        new = self.queue / f".{name}"
        new.write_bytes(content)
        new.rename(self.queue / name)

    def receipt(self) -> dict[str, Any]:
        newest = sorted((self.root / "restore/receipts").glob("*.json"))[-1]
        found: dict[str, Any] = json.loads(newest.read_bytes())
        return found

    def beside(self) -> list[str]:
        """What lies beside the live file."""
        return sorted(path.name for path in self.live.parent.iterdir() if path != self.live)


def write(path: Path, word: str, wal: bool = False) -> None:
    """Make a database that holds a word."""
    with closing(sqlite3.connect(path)) as session:
        if wal:
            session.execute("PRAGMA journal_mode = WAL")
        session.executescript(
            f"CREATE TABLE marker (word TEXT); INSERT INTO marker VALUES ('{word}'); CREATE TABLE goods (i, name);"  # noqa: S608
        )
        session.executemany("INSERT INTO goods VALUES (?, ?)", [(i, f"{word} {i}") for i in range(300)])
        session.commit()


def word(path: Path) -> str:
    """The word that a whole database holds."""
    with closing(sqlite3.connect(path)) as session:
        assert session.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = session.execute("SELECT word, (SELECT count(*) FROM goods WHERE name LIKE word || '%') FROM marker")
        ((text, count),) = found.fetchall()
    assert count == 300
    return str(text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A live file and a queue."""
    return Place(tmp_path)


@pytest.fixture
def new(tmp_path: Path) -> bytes:
    """A file to restore."""
    path = tmp_path / "made.db"
    write(path, "new")
    return path.read_bytes()


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_restored_and_the_old_one_kept(place: Place, new: bytes, packed: bool) -> None:
    place.put(gzip.compress(new) if packed else new, "new.db.gz" if packed else "new.db")
    done = place.drain()
    assert place.receipt()["outcome"] == "done", done.stdout
    assert word(place.live) == "new"
    assert place.live.stat().st_mode & 0o777 == 0o640
    (kept,) = place.beside()
    assert place.receipt()["previous"] == kept
    assert word(place.live.with_name(kept)) == "old"


def test_what_lies_beside_the_old_file_never_meets_the_new_one(place: Place, new: bytes) -> None:
    place.live.unlink()
    write(place.live, "old", wal=True)
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA wal_autocheckpoint = 0'); "
        "c.execute(\"UPDATE marker SET word = 'newer'\"); c.execute(\"UPDATE goods SET name = 'newer ' || i\"); "
        "c.commit(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, str(place.live)], check=False, timeout=30)
    assert place.live.with_name("app.db-wal").stat().st_size > 0
    place.put(new)
    place.drain()
    assert word(place.live) == "new"
    kept = place.receipt()["previous"]
    assert word(place.live.with_name(kept)) == "newer", "what was in the log beside it is in the kept file"


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_the_old_or_the_new_and_the_next_start_ends_it(place: Place, new: bytes, point: str) -> None:
    place.put(new)
    died = place.drain(FAULT_AT=point)
    assert died.returncode == -9, died.stdout
    assert word(place.live) in ("old", "new")
    done = place.drain()
    assert done.returncode == 0, done.stdout
    assert place.receipt()["outcome"] == "done", died.stdout + done.stdout
    assert word(place.live) == "new"
    (kept,) = place.beside()
    assert word(place.live.with_name(kept)) == "old"
    assert list(place.queue.iterdir()) == []
    assert list((place.root / "spool").iterdir()) == []
    assert list((place.root / "restore/processing").iterdir()) == []
    assert len(list((place.root / "restore/receipts").iterdir())) == 1


def damaged(new: bytes) -> bytes:
    """A database with a page that is not what it was."""
    return new[:8192] + b"\xff" * 4096 + new[12288:]


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("a.db", lambda _: b"", "is empty"),
        ("a.db", lambda new: b"PGDMP" + new, "does not begin as an SQLite database"),
        ("a.db", damaged, "damaged|SQLite says"),
        ("a.db", lambda new: new[: len(new) // 2], "damaged|SQLite says"),
        ("a.db", gzip.compress, "not compressed, and it is not so"),
        ("a.db.gz", lambda new: new, "compressed, and it is not so"),
        ("a.db.gz", lambda new: gzip.compress(new)[:-9], "cut off or damaged"),
        ("a.db.gz", lambda new: gzip.compress(new)[:-8] + b"\0" * 8, "cut off or damaged"),
        ("a.dump", lambda _: b"PGDMP", "from .db files"),
        ("a.db.age", lambda new: new, "says that it is encrypted, and that is not so"),
    ],
)
def test_a_file_that_is_no_whole_database_is_rejected_with_the_reason_beside_it(
    place: Place, new: bytes, name: str, change: Any, reason: str
) -> None:
    import re

    before = place.live.read_bytes()
    place.put(change(new), name)
    done = place.drain()
    receipt = place.receipt()
    assert receipt["outcome"] == "rejected", done.stdout
    assert re.search(reason, receipt["reason"]), receipt["reason"]
    assert place.live.read_bytes() == before
    assert place.beside() == []
    rejected = place.root / "restore/rejected"
    assert sorted(path.name for path in rejected.iterdir()) == [
        f"{receipt['job']}-{name}", f"{receipt['job']}-{name}.reason.txt",
    ]  # fmt: skip
    assert (rejected / f"{receipt['job']}-{name}.reason.txt").read_text().strip() == receipt["reason"]
    place.drain()
    assert len(list((place.root / "restore/receipts").iterdir())) == 1, "it is not tried again"


def test_a_bomb_is_cut_off_and_leaves_nothing(place: Place) -> None:
    place.put(gzip.compress(b"SQLite format 3\0" + b"\0" * (64 << 20)), "bomb.db.gz")
    place.drain(RESTORE_MAX_BYTES=str(1 << 20))
    assert "RESTORE_MAX_BYTES" in place.receipt()["reason"]
    assert list((place.root / "spool").iterdir()) == []


def test_rows_that_refer_to_none_are_rejected(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "orphans.db"
    with closing(sqlite3.connect(path)) as session:
        session.executescript(
            "CREATE TABLE p (i INTEGER PRIMARY KEY); CREATE TABLE c (i REFERENCES p (i)); INSERT INTO c VALUES (7);"
        )
    place.put(path.read_bytes())
    place.drain()
    assert "foreign keys" in place.receipt()["reason"]


def test_a_live_file_in_use_is_left_as_it_is(place: Place, new: bytes) -> None:
    with closing(sqlite3.connect(place.live)) as session:
        session.execute("BEGIN EXCLUSIVE")
        place.put(new)
        place.drain()
        session.execute("ROLLBACK")
    receipt = place.receipt()
    assert (receipt["outcome"], receipt["failed_at"]) == ("failed", "fence")
    assert "RESTORE_STOP_CONTAINERS" in receipt["reason"]
    assert word(place.live) == "old"
    assert place.beside() == []


def test_a_damaged_live_file_is_replaced_and_kept(place: Place, new: bytes) -> None:
    place.live.write_bytes(b"not a database at all")
    place.put(new)
    place.drain()
    assert place.receipt()["outcome"] == "done"
    assert word(place.live) == "new"
    assert place.live.with_name(place.receipt()["previous"]).read_bytes() == b"not a database at all"


def test_a_live_file_that_is_gone_is_made_anew(place: Place, new: bytes) -> None:
    place.live.unlink()
    place.put(new)
    place.drain()
    assert place.receipt()["outcome"] == "done"
    assert word(place.live) == "new"


def test_an_undo_goes_back_and_can_be_gone_back_from(place: Place, new: bytes) -> None:
    place.put(new)
    place.drain()
    for wanted in ("old", "new", "old"):
        asked = place.run("undo")
        assert asked.returncode == 0, asked.stdout
        place.drain()
        assert place.receipt()["kind"] == "undo"
        assert word(place.live) == wanted
        assert len(place.beside()) == 1


def test_only_so_many_of_the_former_files_are_kept(place: Place, new: bytes) -> None:
    for _ in range(4):
        place.put(new)
        place.drain()
    assert len(place.beside()) == 2


def test_a_file_that_cannot_be_taken_is_laid_away_once(place: Place, new: bytes) -> None:
    place.put(new)
    done = place.drain(RESTORE_MAX_BYTES="100")
    receipt = place.receipt()
    assert (receipt["outcome"], receipt["failed_at"]) == ("rejected", "claim"), done.stdout
    assert list(place.queue.iterdir()) == []
    assert len(list((place.root / "restore/receipts").iterdir())) == 1
    assert (place.root / f"restore/rejected/{receipt['job']}-new.db").read_bytes() == new


def test_a_file_that_ends_the_service_each_time_is_given_up(place: Place, new: bytes) -> None:
    place.put(new)
    for _ in range(5):
        assert place.drain(FAULT_AT="claim:copied").returncode == -9
    done = place.drain()
    assert place.receipt()["outcome"] == "rejected", done.stdout
    assert "5 times" in place.receipt()["reason"]
    assert word(place.live) == "old"
    assert list(place.queue.iterdir()) == []
