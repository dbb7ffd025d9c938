"""The recovery kit of a stack, encrypted by the service that has the recipients, and opened by whoever has the key."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

CLEAR = b"what a kit is made of\0" * 5000


@pytest.fixture(scope="module")
def keys(stage: Any) -> dict[str, tuple[str, bytes]]:
    """A recipient and a stranger: the public half, and the file with the private one."""
    found = {}
    for name in ("ours", "strangers"):
        secret = stage.docker("exec", stage.name, "age-keygen")
        found[name] = (next(line.split()[-1] for line in secret.splitlines() if "public key" in line), secret.encode())
    return found


def given(desk: Any, words: list[str], content: bytes, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program with some input."""
    desk.environ.setdefault("LOG_FORMAT", "text")
    desk.stage.docker("exec", desk.stage.name, "mkdir", "-p", desk.environ["BACKUP_WORK_DIR"])
    command = desk.command(*words, **environ)
    command.insert(2, "--interactive")
    return subprocess.run(command, input=content, capture_output=True, timeout=120, check=False)


def left(desk: Any) -> list[Path]:
    """Return what is left where the program works."""
    return list((desk.stage.root / "work" / desk.folder.name).rglob("*"))


def test_without_recipients_nothing_is_written(desk: Any) -> None:
    done = given(desk, ["keep", "shop"], CLEAR)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"backupRecipients: not set" in done.stderr
    assert left(desk) == []


@pytest.mark.parametrize("words", [[], ["a", "b"], ["../outside"], [".hidden"], ["a/b"]])
def test_a_name_that_is_none_is_refused(desk: Any, keys: Any, words: list[str]) -> None:
    done = given(desk, ["keep", *words], CLEAR, BACKUP_AGE_RECIPIENTS=keys["ours"][0])
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_kit_is_encrypted_nothing_of_it_stays_and_only_its_key_opens_it(desk: Any, keys: Any) -> None:
    public, private = keys["ours"]
    done = given(desk, ["keep", "shop"], CLEAR, BACKUP_AGE_RECIPIENTS=public)
    assert done.returncode == 3, "there is no bucket, and it says so"
    assert b"the only copy" in done.stderr
    assert done.stdout.startswith(b"age-encryption.org/v1\n-> X25519 ")
    assert CLEAR[:20] not in done.stdout
    assert left(desk) == []

    def opened(key: bytes, kit: bytes) -> subprocess.CompletedProcess[bytes]:
        return given(desk, ["open"], f"{len(key)}\n".encode() + key + kit)

    assert opened(private, done.stdout).stdout == CLEAR
    stranger = opened(keys["strangers"][1], done.stdout)
    assert (stranger.returncode, stranger.stdout) == (1, b"")
    assert b"Is this the key of a recipient?" in stranger.stderr
    flipped = bytearray(done.stdout)
    flipped[-100] ^= 1
    assert opened(private, bytes(flipped)).returncode == 1
    assert b"this is no kit" in opened(private, b"something else").stderr
    assert desk.stage.docker("exec", desk.stage.name, "ls", "/tmp") == ""


def test_nothing_is_no_kit(desk: Any, keys: Any) -> None:
    done = given(desk, ["keep", "shop"], b"", BACKUP_AGE_RECIPIENTS=keys["ours"][0])
    assert (done.returncode, b"nothing came on standard input" in done.stderr) == (1, True)
