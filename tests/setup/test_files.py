"""Files are replaced in one step, and private ones are made once."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from setup.files import create_private, digest_of_files, write_atomically


def test_a_written_file_has_the_content_and_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "folder" / "file", b"one", 0o640)
    write_atomically(tmp_path / "folder" / "file", b"two", 0o640)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    assert (tmp_path / "folder" / "file").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "folder" / "file").stat().st_mode) == 0o640


def test_a_reader_sees_the_old_or_the_new_content_and_never_half_of_one(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", {letter * 200_000 for letter in (b"a", b"b")}
    write_atomically(path, b"a" * 200_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for content in contents:
                write_atomically(path, content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(path.read_bytes() in contents for _ in range(200))
    finally:
        stop.set()
        writer.join()


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / "file", b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_private_file_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "state" / "passphrase"
    assert create_private(path, b"first")
    assert not create_private(path, b"second")
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["passphrase"]


def test_of_many_runs_that_make_the_same_private_file_one_does(tmp_path: Path) -> None:
    path, made = tmp_path / "passphrase", []
    together = threading.Barrier(8)

    def make(number: int) -> None:
        together.wait()
        if create_private(path, f"{number}".encode()):
            made.append(number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert path.read_text() == f"{made[0]}"


def test_the_digest_of_files_tells_names_and_contents_apart_and_not_their_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    first = digest_of_files([tmp_path / "a", tmp_path / "b"], tmp_path)
    assert digest_of_files([tmp_path / "b", tmp_path / "a"], tmp_path) == first
    (tmp_path / "a").write_text("2")
    (tmp_path / "b").write_text("1")
    assert digest_of_files([tmp_path / "a", tmp_path / "b"], tmp_path) != first
