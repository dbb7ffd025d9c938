"""What people ask of restores: putting a file in, seeing how it goes, the list, and what the service is doing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from backup import manifest, seal, sqlite
from backup.manifest import Manifest, StoredFile
from tests.restore.test_files import Place, word, write


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A live file and a queue."""
    return Place(tmp_path)


@contextmanager
def watching(place: Place, **environ: str) -> Iterator[None]:
    """Run the service for as long as the block lasts."""
    settings = {**place.environ, "RESTORE_POLL_INTERVAL": "1", **environ}
    with subprocess.Popen(place.command("watch"), env=settings, stdout=subprocess.DEVNULL) as service:
        try:
            yield
        finally:
            service.terminate()
            service.wait(30)


def backup(place: Place, text: str, number: int, level: str = "restored", key: Ed25519PrivateKey | None = None) -> str:
    """Make a backup of a file with a word, as `backup` lays it down."""
    key = key or Ed25519PrivateKey.generate()
    name = f"20261126T00000{number}Z-abcdef"
    folder = place.root / "backups" / name
    folder.mkdir(parents=True)
    path = folder / "database.db"
    write(path, text)
    with closing(sqlite.connect(path)) as session:
        held = sqlite.read(session, lambda: None)
    size, digest = path.stat().st_size, seal.digest(path)
    made = Manifest(
        id=name, database="app", kind="sqlite", created=f"2026-11-26T00:00:0{number}+00:00",
        finished="2026-11-26T00:01:00+00:00", tool_version="1",
        files=(StoredFile(path.name, "sqlite", "sqlite3", size, digest, size, digest),), server={}, snapshot={},
        contents=held.document(), verify={"level": level},
    )  # fmt: skip
    (folder / manifest.NAME).write_bytes(manifest.signed(made, key))
    return name


def keys(place: Place, key: Ed25519PrivateKey) -> dict[str, str]:
    """The settings that know backups by a key."""
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"BACKUP_VERIFY_KEYS": public.decode(), "BACKUP_DIR": str(place.root / "backups")}


def test_a_file_is_submitted_followed_and_listed(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    write(path, "new")
    with watching(place):
        done = place.run("submit", str(path), "--who", "ada", "--wait")
    assert done.returncode == 0, done.stdout
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert (events[0], events[-1]) == ("it lies in the queue", "restored")
    assert word(place.live) == "new"
    listed = json.loads(place.run("list", "--json").stdout)
    assert [(one["file"], one["who"], one["outcome"], one["previous_is_there"]) for one in listed] == [
        ("mine.db", "ada", "done", True)
    ]
    assert listed[0]["source"] == str(path)
    table = place.run("list").stdout
    assert "mine.db" in table
    assert listed[0]["previous"] in table


def test_a_rejected_file_ends_the_wait_with_its_reason(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "bad.db"
    path.write_bytes(b"no database")
    with watching(place):
        done = place.run("submit", str(path), "--wait")
    assert done.returncode == 1
    assert "rejected: it does not begin as an SQLite database" in done.stdout
    assert word(place.live) == "old"


def test_what_comes_over_standard_input_is_submitted_under_a_name(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    write(path, "new")
    with path.open("rb") as file:
        done = subprocess.run(
            place.command("submit", "-", "--name", "piped.db"), env=place.environ, stdin=file, check=False, timeout=60
        )
    assert done.returncode == 0
    assert sorted(item.name for item in place.queue.iterdir()) == [
        "piped.db", "piped.db.ready", "piped.db.sha256", "piped.db.submitted.json",
    ]  # fmt: skip
    place.drain()
    assert word(place.live) == "new"
    assert place.receipt()["source"] == "standard input"


def test_the_newest_backup_that_was_restored_and_compared_is_the_latest(place: Place) -> None:
    key = Ed25519PrivateKey.generate()
    backup(place, "older", 1, key=key)
    wanted = backup(place, "wanted", 2, key=key)
    backup(place, "unproven", 3, level="read", key=key)
    backup(place, "strangers", 4)
    settings = keys(place, key)
    done = place.run("submit", "latest", **settings)
    assert done.returncode == 0, done.stdout
    place.drain(RESTORE_TRUST="signed", **settings)
    receipt = place.receipt()
    assert (receipt["outcome"], receipt["backup"]) == ("done", wanted), receipt["reason"]
    assert word(place.live) == "wanted"


def test_a_backup_whose_file_was_changed_is_not_submitted(place: Place) -> None:
    key = Ed25519PrivateKey.generate()
    name = backup(place, "changed", 1, key=key)
    write_over(place.root / "backups" / name / "database.db")
    done = place.run("submit", name, **keys(place, key))
    assert done.returncode == 1
    assert "is not what its manifest says" in done.stdout
    assert list(place.queue.iterdir()) == []


def write_over(path: Path) -> None:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.db"], "there is no such file"),
        (["latest"], "BACKUP_VERIFY_KEYS"),
        (["/etc/passwd"], "wanted letters, digits"),
        (["/etc/passwd", "--name", "$(x).sql"], "wanted letters, digits"),
    ],
)
def test_what_cannot_be_submitted_is_told(place: Place, arguments: list[str], words: str) -> None:
    done = place.run("submit", *arguments)
    assert done.returncode == 1
    assert words in done.stdout
    assert list(place.queue.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["-"], ["--wait"], ["a", "b"], ["a", "--name"], ["-x"]])
def test_a_command_line_that_means_nothing_is_refused_with_what_is_wanted(place: Place, arguments: list[str]) -> None:
    done = place.run("submit", *arguments)
    assert (done.returncode, "wanted a file, a backup's name, latest" in done.stderr) == (2, True)


def test_a_file_of_a_name_that_lies_there_already_is_not_put_over_it(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    write(path, "new")
    assert place.run("submit", str(path)).returncode == 0
    done = place.run("submit", str(path))
    assert (done.returncode, "lies in the queue already" in done.stdout) == (1, True)


def test_the_state_tells_whether_the_service_is_well(place: Place) -> None:
    assert place.run("status", "--check").returncode == 1, "nothing runs yet"
    place.drain()
    assert place.run("status", "--check").returncode == 0
    assert "nothing in the queue" in place.run("status").stdout
    found: dict[str, Any] = json.loads(place.run("status", "--json").stdout)
    assert found["status"] == "idle"
    os.utime(place.root / "restore/state.json", (0, 0))
    done = place.run("status", "--check")
    assert (done.returncode, "does it run?" in done.stderr) == (1, True)


def test_nothing_restored_is_said_with_the_verb_that_restores(place: Place) -> None:
    assert "make restore LATEST=1" in place.run("list").stdout


def test_metrics_are_written_where_they_are_asked_for(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "restore.prom"
    write(tmp_path / "mine.db", "new")
    place.put((tmp_path / "mine.db").read_bytes())
    place.drain(RESTORE_METRICS_FILE=str(path))
    assert 'scaffold_restore_restores{outcome="done"} 1' in path.read_text()
    assert "scaffold_restore_last_success 1.000" in path.read_text()
