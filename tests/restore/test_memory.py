"""What a restore takes of memory: little, and some of the largest row; never some of the file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.restore.depot import Depot
from tests.restore.test_script import HEAD, TAIL

ROW = 64 << 20
MIB = 1 << 20


class Watch:
    """The most that the loader's processes have in memory at a time, page cache apart."""

    def __init__(self, depot: Depot) -> None:
        self.first = int(depot.docker("inspect", "-f", "{{.State.Pid}}", depot.name))
        self.most = 0
        self.looks = 0
        self.done = threading.Event()

    def look(self) -> int:
        """Return what they have now."""
        waiting, total = [self.first], 0
        while waiting:
            pid = waiting.pop()
            try:
                waiting += [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            own = (line.split()[1] for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
            total += sum(int(size) << 10 for size in own)
        return total

    def run(self) -> None:
        """Look again and again."""
        while not self.done.is_set():
            self.most = max(self.most, self.look())
            self.looks += 1
            time.sleep(0.01)


@contextmanager
def watched(depot: Depot) -> Iterator[Watch]:
    """Watch for as long as the block lasts."""
    watch = Watch(depot)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield watch
    finally:
        watch.done.set()
        thread.join()


def loads(depot: Depot, content: bytes, kind: str) -> int:
    """Validate and load a dump, and return what that took."""
    name = depot.scratch()
    try:
        with watched(depot) as watch:
            job = depot.job(content, kind)
            job.request("validate")
            assert job.answer(300)["ok"]
            job.request("load", database=name)
            answer = job.answer(300)
            assert answer["ok"], answer
            (job.folder / "file").unlink()
        assert watch.looks > 50
        return watch.most
    finally:
        depot.drop(name)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["copy", "insert", "escaped", "custom"])
def test_a_row_of_64_mb_takes_some_times_its_size(depot: Depot, how: str) -> None:
    table = b"CREATE TABLE public.t (a text);\n"
    if how == "copy":
        total = loads(depot, HEAD + table + b"COPY public.t FROM stdin;\n" + b"x" * ROW + b"\n\\.\n" + TAIL, "sql")
    elif how == "insert":
        total = loads(depot, HEAD + table + b"INSERT INTO public.t VALUES ('" + b"x" * ROW + b"');\n" + TAIL, "sql")
    elif how == "escaped":
        values = b"INSERT INTO public.t VALUES (E'" + b"\\\\" * (ROW // 2) + b"');\n"
        total = loads(depot, HEAD + table + values + TAIL, "sql")
    else:
        depot.run("CREATE DATABASE long_row")
        try:
            depot.run(f"CREATE TABLE t AS SELECT repeat(md5('x'), {ROW // 32}) AS a", "long_row")
            content = depot.dump("long_row", "--format=custom", "--compress=none")
        finally:
            depot.drop("long_row")
        total = loads(depot, content, "dump")
    print(f"{how}: {total / MIB:.0f} MiB")
    assert total < 200 * MIB + 5 * ROW


@pytest.mark.slow
def test_a_file_of_200_mb_takes_no_more_than_a_small_one(depot: Depot) -> None:
    rows = b"".join(b"%d\tsome words of a row\t2026-01-01\n" % number for number in range(5_000_000))
    data = b"CREATE TABLE public.t (a int, b text, c date);\nCOPY public.t FROM stdin;\n" + rows + b"\\.\n"
    total = loads(depot, HEAD + data + TAIL, "sql")
    print(f"200 MB: {total / MIB:.0f} MiB")
    assert total < 120 * MIB
