"""What is written is sent to the disk in pieces, with a rest between them, for as long as somebody makes a backup."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from backup import writeback

MIB = 1 << 20


class Disk:
    """Notes what it is sent, and takes a while for what it did not have yet."""

    def __init__(self, seconds: float = 0.002) -> None:
        self.seconds = seconds
        self.sent: list[tuple[int, int]] = []
        self.moments: list[tuple[float, float]] = []

    def send(self, descriptor: int, at: int, count: int) -> None:
        began = time.monotonic()
        self.sent.append((at, count))
        time.sleep(self.seconds)
        self.moments.append((began, time.monotonic()))
        assert os.fstat(descriptor).st_size > at


@pytest.mark.parametrize("size", [0, 1, writeback.PIECE, 5 * writeback.PIECE + 1])
def test_the_pieces_of_a_file_are_all_of_it(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    disk = Disk(0)
    with path.open("rb") as file:
        writeback.send_all(file.fileno(), disk.send, threading.Event())
    assert [at for at, _ in disk.sent] == list(range(0, size, writeback.PIECE))
    assert {count for _, count in disk.sent} <= {writeback.PIECE}


def test_others_have_the_disk_for_as_long_as_each_piece_took(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4 * writeback.PIECE)
    disk = Disk(0.02)
    with path.open("rb") as file:
        writeback.send_all(file.fileno(), disk.send, threading.Event())
    rests = [later[0] - earlier[1] for earlier, later in zip(disk.moments, disk.moments[1:], strict=False)]
    assert min(rests) >= 0.019


def test_only_what_was_written_lately_is_looked_at_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    new, old, link = tmp_path / "deep/er/new", tmp_path / "old", tmp_path / "link"
    new.write_bytes(b"new")
    old.write_bytes(b"old")
    os.utime(old, (time.time() - 100, time.time() - 100))
    link.symlink_to(new)
    os.mkfifo(tmp_path / "pipe")
    disk, ended = Disk(), threading.Event()
    thread = threading.Thread(target=writeback.work, args=((tmp_path, tmp_path / "missing"), disk.send, ended))
    thread.start()
    deadline = time.monotonic() + 10
    while len(disk.sent) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    ended.set()
    thread.join(10)
    assert not thread.is_alive()
    assert set(disk.sent) == {(0, writeback.PIECE)}
    assert set(writeback.fresh(tmp_path, time.time() - 50)) == {new, link, tmp_path / "pipe"}


def test_it_ends_with_the_block_whatever_ends_that(tmp_path: Path) -> None:
    def running() -> bool:
        return any(thread.name == "writeback" for thread in threading.enumerate())

    (tmp_path / "large").write_bytes(b"x" * 64 * MIB)

    def interrupted() -> None:
        with writeback.steady(tmp_path):
            assert running()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert not running()


def test_the_systems_own_call_sends_what_there_is(tmp_path: Path) -> None:
    send = writeback.find()
    assert send is not None
    with (tmp_path / "file").open("w+b") as file:
        file.write(b"x" * 8 * MIB)
        file.flush()
        writeback.send_all(file.fileno(), send, threading.Event())


def test_a_system_without_it_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "find", lambda: None)
    with writeback.steady(tmp_path):
        assert not any(thread.name == "writeback" for thread in threading.enumerate())
