"""Encryption: this machine makes backups that it cannot read, and the drill finds a key that is lost."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.conftest import until


def test_every_file_is_encrypted_and_nothing_is_left_in_the_clear(sealed: Any) -> None:
    (made,) = sealed.names()
    folder = sealed.folder / made
    assert sorted(path.name for path in folder.iterdir()) == ["database.dump.age", "globals.sql.age", "manifest.json"]
    for name in ("database.dump.age", "globals.sql.age"):
        content = (folder / name).read_bytes()
        assert content.startswith(b"age-encryption.org/v1\n-> X25519 ")
        assert content.count(b"\n-> X25519 ") == 2
        assert b"PGDMP" not in content
        assert b"CREATE ROLE" not in content
    assert sealed.run("verify").status == 0
    assert "encrypted" in sealed.run("list").text


def test_each_recipient_can_restore_and_the_drill_shows_it(sealed: Any, keys: Any) -> None:
    for name in ("ours", "theirs"):
        done = sealed.run("drill", BACKUP_AGE_IDENTITY_FILE=keys[name]["path"])
        assert done.status == 0, done.text
    assert sealed.listed()[0]["state"] == "drilled"
    assert list((sealed.stage.root / "work" / sealed.folder.name).iterdir()) == []


@pytest.mark.parametrize(
    ("key", "words"), [("strangers", "cannot be decrypted"), ("", "not set"), ("lost", "not there")]
)
def test_a_lost_or_wrong_key_is_found_by_the_drill_before_it_is_needed(
    sealed: Any, keys: Any, key: str, words: str
) -> None:
    (made,) = sealed.names()
    path = keys[key]["path"] if key in keys else "/run/files/lost" if key else ""
    done = sealed.run("drill", BACKUP_AGE_IDENTITY_FILE=path)
    assert (done.status, words in done.errors) == (1, True)
    assert json.loads((sealed.folder / ".state.json").read_text())["last_drill_result"] == "failure"
    assert sealed.good() == [made], "the backup is none the worse: whoever has the key can restore it"


@pytest.mark.parametrize(("key", "result"), [("theirs", "success"), ("strangers", "failure"), ("lost", "failure")])
def test_the_schedule_tries_the_key_with_the_first_backup_and_alarms_when_it_does_not_fit(
    sealed: Any, keys: Any, key: str, result: str
) -> None:
    path = keys[key]["path"] if key in keys else "/run/files/lost"
    # Of an address at which nobody listens is told that it was tried.
    place = {
        "BACKUP_SCHEDULE": "0 5 1 1 *",
        "BACKUP_AGE_IDENTITY_FILE": path,
        "BACKUP_PING_URL": "http://127.0.0.1:9/x",
    }
    file = sealed.folder / ".state.json"

    def tried() -> bool:
        return file.exists() and bool(json.loads(file.read_text())["last_drill_result"] == result)

    with subprocess.Popen(
        sealed.command("schedule", **place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        until(tried, f"drill with {result}", 90)
        sealed.stage.kill("TERM")
        output, _ = process.communicate(timeout=60)
    events = [json.loads(line)["event"] for line in output.splitlines() if line.startswith('{"')]
    assert sum("a drill is due" in event for event in events) == 1, output
    after = events[next(number for number, event in enumerate(events) if "a drill is due" in event) :]
    assert any(event.startswith("ping to") for event in after) == (result == "failure")
    assert len(sealed.good()) == 1, "the backup is none the worse"


def test_a_flipped_bit_in_what_is_encrypted_is_found_without_the_key(sealed: Any) -> None:
    (made,) = sealed.names()
    path = sealed.folder / made / "database.dump.age"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert (sealed.run("verify").status, sealed.good()) == (1, [])


def test_a_secret_key_among_the_recipients_is_refused_unread(sealed: Any) -> None:
    done = sealed.run("run", BACKUP_AGE_RECIPIENTS="AGE-SECRET-KEY-1QQPQYQ")
    assert (done.status, "wanted the public ones" in done.errors, "1QQPQYQ" in done.text) == (1, True, False)
    before = sealed.names()
    done = sealed.run("run", BACKUP_AGE_RECIPIENTS="age1notakey")
    assert (done.status, sealed.names()) == (1, before)
