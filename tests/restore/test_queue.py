"""The queue: what may be taken from it, when, and in which order."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.error import StopError
from restore import arrivals, asking, claim, watch
from restore.arrivals import Seen, Waiting
from restore.claim import ChangedError
from restore.error import RejectedError

ODD = [
    "a b.dump", "-leading.sql", ".hidden.sql.x", "$(touch x).dump", "`id`.sql", "new\nline.sql", "x" * 250 + ".sql",
    "ü.dump", "x.txt", "x.sql.zip", "a;b.sql", "x.dump.age.gz", "dump", ".dump",
]  # fmt: skip


def names(folder: Path) -> list[str]:
    return [file.name for file in arrivals.look(folder).files]


def test_files_with_a_plain_name_and_a_known_ending_are_seen(tmp_path: Path) -> None:
    wanted = ["a.sql", "a.sql.gz", "b.dump", "b.dump.gz", "c.db", "c.db.gz", "d.dump.age", "2026-11-26T08.00+00.sql"]
    for name in wanted:
        (tmp_path / name).write_bytes(b"x")
    assert sorted(names(tmp_path)) == sorted(wanted)


def test_odd_names_are_passed_over_and_told(tmp_path: Path) -> None:
    for name in ODD:
        (tmp_path / name).write_bytes(b"x")
    found = arrivals.look(tmp_path)
    assert found.files == []
    assert set(found.ignored) == {name for name in ODD if not name.startswith(".")}


def test_links_pipes_sockets_folders_and_devices_are_passed_over(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0")
    folder = tmp_path / "queue"
    folder.mkdir()
    (folder / "link.sql").symlink_to(secret)
    (folder / "dangling.sql").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.sql")
    (folder / "folder.sql").mkdir()
    (folder / "folder.sql" / "inner.sql").write_text("x")
    os.link(secret, folder / "hard.sql")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket.sql"))
    found = arrivals.look(folder)
    server.close()
    assert found.files == []
    assert set(found.ignored) == {
        "link.sql", "dangling.sql", "pipe.sql", "folder.sql", "hard.sql", "socket.sql",
    }  # fmt: skip


def test_what_is_being_uploaded_or_belongs_to_another_file_is_no_file_of_its_own(tmp_path: Path) -> None:
    for name in ("a.dump.part", ".a.dump.x", "a.dump.sha256", "a.dump.manifest.json", "a.dump.ready", "a.sql.tmp"):
        (tmp_path / name).write_bytes(b"x")
    found = arrivals.look(tmp_path)
    assert (found.files, found.ignored) == ([], {})


def test_a_missing_queue_is_told_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(StopError, match="RESTORE_WATCH_DIR"):
        arrivals.look(tmp_path / "nowhere")


def seen(name: str, size: int = 1, changed: int = 1, ready: bool = False) -> Seen:
    return Seen(name, 1, hash(name) % 1000, size, changed, changed, 0, ready)


def test_a_file_that_grows_waits_until_it_is_still() -> None:
    waiting: dict[str, Waiting] = {}
    for size in (1, 2, 3):
        waiting, still = arrivals.settle(waiting, [seen("a.sql", size, size)], 2)
        assert still == []
    waiting, still = arrivals.settle(waiting, [seen("a.sql", 3, 3)], 2)
    assert still == []
    waiting, still = arrivals.settle(waiting, [seen("a.sql", 3, 3)], 2)
    assert [file.name for file in still] == ["a.sql"]


def test_one_that_says_it_is_ready_waits_for_one_poll() -> None:
    waiting, still = arrivals.settle({}, [seen("a.sql", ready=True)], 5)
    assert still == []
    _, still = arrivals.settle(waiting, [seen("a.sql", ready=True)], 5)
    assert [file.name for file in still] == ["a.sql"]


def test_one_that_vanishes_is_forgotten() -> None:
    waiting, _ = arrivals.settle({}, [seen("a.sql")], 1)
    waiting, _ = arrivals.settle(waiting, [], 1)
    assert waiting == {}
    _, still = arrivals.settle(waiting, [seen("a.sql")], 1)
    assert still == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), max_size=8, unique_by=lambda item: item[0]))
def test_the_last_to_arrive_is_restored_last(found: list[tuple[int, int]]) -> None:
    files = [seen(f"f{number}.sql", changed=changed) for number, changed in found]
    waiting, _ = arrivals.settle({}, files, 1)
    _, still = arrivals.settle(waiting, files, 1)
    assert [file.changed for file in still] == sorted(changed for _, changed in found)


@pytest.fixture
def queue(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A queue with a file, and the folders that it goes to."""
    for name in ("incoming", "processing", "spool"):
        (tmp_path / name).mkdir()
    (tmp_path / "incoming/a.dump").write_bytes(b"x" * 100_000)
    (tmp_path / "incoming/a.dump.sha256").write_text("0" * 64)
    return tmp_path / "incoming", tmp_path / "processing", tmp_path / "spool/copy"


def take(queue: tuple[Path, Path, Path], chosen: Seen, most: int = 1 << 30) -> claim.Claimed:
    return claim.take(queue[0], chosen, queue[1], queue[2], most, lambda _: None)


def test_a_claimed_file_is_copied_and_moved_with_what_lies_beside_it(queue: tuple[Path, Path, Path]) -> None:
    (chosen,) = arrivals.look(queue[0]).files
    taken = take(queue, chosen)
    assert taken.bytes == 100_000
    assert queue[2].read_bytes() == b"x" * 100_000
    assert sorted(path.name for path in queue[1].iterdir()) == ["a.dump", "a.dump.sha256"]
    assert list(queue[0].iterdir()) == []


def test_a_file_that_is_another_one_than_was_seen_goes_on_waiting(queue: tuple[Path, Path, Path]) -> None:
    (chosen,) = arrivals.look(queue[0]).files
    path = queue[0] / "a.dump"
    for change in ("replace", "write", "link", "symlink", "fifo", "remove"):
        path.unlink(missing_ok=True)
        if change == "replace":
            path.write_bytes(b"y" * 100_000)
        elif change == "write":
            path.write_bytes(b"x" * 100_001)
        elif change == "link":
            (queue[0].parent / "other").write_bytes(b"x" * 100_000)
            os.link(queue[0].parent / "other", path)
        elif change == "symlink":
            path.symlink_to("/etc/passwd")
        elif change == "fifo":
            os.mkfifo(path)
        with pytest.raises(ChangedError):
            take(queue, chosen)
        assert not list(queue[1].iterdir())
        queue[2].unlink(missing_ok=True)


def test_a_file_that_is_written_to_while_it_is_copied_goes_on_waiting(queue: tuple[Path, Path, Path]) -> None:
    (chosen,) = arrivals.look(queue[0]).files

    def more(_: int) -> None:
        with (queue[0] / "a.dump").open("ab") as file:
            file.write(b"z")

    with pytest.raises(ChangedError):
        claim.take(queue[0], chosen, queue[1], queue[2], 1 << 30, more)
    assert (queue[0] / "a.dump").exists()


def test_a_file_larger_than_is_taken_is_rejected_and_leaves_nothing(queue: tuple[Path, Path, Path]) -> None:
    (chosen,) = arrivals.look(queue[0]).files
    with pytest.raises(RejectedError, match="RESTORE_MAX_BYTES"):
        take(queue, chosen, 1000)
    assert not queue[2].exists()


def test_a_private_copy_is_never_written_through_what_lies_there(queue: tuple[Path, Path, Path]) -> None:
    (chosen,) = arrivals.look(queue[0]).files
    victim = queue[0].parent / "victim"
    victim.write_text("precious")
    queue[2].symlink_to(victim)
    with pytest.raises(OSError, match="File exists"):
        take(queue, chosen)
    assert victim.read_text() == "precious"


def test_a_file_is_put_back_but_never_over_one_that_came_meanwhile(queue: tuple[Path, Path, Path]) -> None:
    (chosen,) = arrivals.look(queue[0]).files
    take(queue, chosen)
    (queue[0] / "a.dump").write_bytes(b"another")
    claim.put_back(queue[0], "a.dump", queue[1])
    assert (queue[0] / "a.dump").read_bytes() == b"another"
    assert (queue[0] / "a.dump.sha256").exists()
    assert not queue[1].exists()


@given(st.binary(max_size=300) | st.text().map(str.encode) | st.sampled_from([b"[" * 100_000, b'{"seq": NaN}', b"[]"]))
def test_whatever_a_loader_writes_is_read_as_an_answer_or_as_none(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    (folder / asking.ANSWER).write_bytes(content)
    found = asking.get(folder, asking.ANSWER)
    assert found is None or isinstance(found, dict)
    if found is not None:
        assert isinstance(asking.read(found).ok, bool)


def test_a_loaders_links_pipes_and_large_files_are_no_answers(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"ok": true}')
    (tmp_path / asking.ANSWER).symlink_to(tmp_path / "secret")
    assert asking.get(tmp_path, asking.ANSWER) is None
    (tmp_path / asking.ANSWER).unlink()
    os.mkfifo(tmp_path / asking.ANSWER)
    assert asking.get(tmp_path, asking.ANSWER) is None
    (tmp_path / asking.ANSWER).unlink()
    (tmp_path / asking.ANSWER).write_bytes(b'{"ok": "' + b"x" * asking.MOST_BYTES + b'"}')
    assert asking.get(tmp_path, asking.ANSWER) is None


def test_a_request_is_never_written_through_what_a_loader_laid_there(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    spool = tmp_path / "spool"
    spool.mkdir()
    for name in (asking.REQUEST, f".{asking.REQUEST}.coordinator", f".{asking.REQUEST}.new"):
        (spool / name).symlink_to(victim)
    asking.put(spool, asking.REQUEST, b"{}")
    assert victim.read_text() == "precious"
    assert (spool / asking.REQUEST).read_bytes() == b"{}"
    assert not (spool / asking.REQUEST).is_symlink()


def test_the_names_of_jobs_sort_by_time_also_within_a_second() -> None:
    made = []
    for _ in range(50):
        made.append(watch.new_id())
        # The clock tells microseconds.
        before = time.perf_counter_ns()
        while time.perf_counter_ns() - before < 5_000:
            continue
    assert made == sorted(made)
    assert all(watch.ID.fullmatch(each) for each in made)
