"""Spoilt dumps: whatever is changed in one, it is read to an end or refused, nothing is run, and memory stays small."""

from __future__ import annotations

import io
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restore.refusal import RefusalError
from restore.script import About, Script
from tests.restore.depot import Depot

# What a file may hold to lead its reader astray.
POISON = [
    b"'", b"''", b"E'", b"\\'", b'"', b"$$", b"$x$", b"/*", b"*/", b"--", b"(", b")", b";", b"\n", b"\r", b"\0", b"\\",
    b"\n\\.\n", b"\\!id\n", b"\n\\! touch /tmp/harm\n", b"\n\\connect x\n", b"COPY t FROM PROGRAM 'id';",
    b"BEGIN ATOMIC", b"END", b"\xff", b"DROP DATABASE app;", b"COPY t FROM stdin;\n",
    b"\n\\restrict `id`\n", b"U&'", b"\xef\xbb\xbf",
]  # fmt: skip
HARM = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "socket.connect", "open",
     "exec", "compile", "ctypes.dlopen", "os.remove", "os.rename"}
)  # fmt: skip
MOST_SECONDS = 20.0
watched: list[str] | None = None


def hear(event: str, _: tuple[object, ...]) -> None:
    if watched is not None and event in HARM:
        watched.append(event)


sys.addaudithook(hear)


@contextmanager
def nothing_happens() -> Iterator[None]:
    """Fail when anything is started, opened, connected to or run in the block."""
    global watched
    watched = []
    try:
        yield
        assert watched == []
    finally:
        watched = None


@pytest.fixture(scope="module")
def dumps(depot: Depot, painful: str) -> list[bytes]:
    """What pg_dump writes of a database that hurts, in two ways, the larger values left out."""
    less = ["--exclude-table=huge", "--no-large-objects"]
    return [depot.dump(painful, *less), depot.dump(painful, *less, "--inserts")]


def read(content: bytes, piece: int) -> About | None:
    """Read a dump to its end; None when it is refused."""
    file = io.BytesIO(content)
    script = Script(lambda: file.read(piece))
    began = time.process_time()
    refused = None
    try:
        with nothing_happens():
            for step in script.steps():
                for _ in step.data:
                    pass
    except RefusalError as error:
        refused = error
    assert time.process_time() - began < MOST_SECONDS
    assert refused is None or (refused.reason and refused.hint)
    return None if refused else script.about


EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(POISON) | st.binary(max_size=6)),
    min_size=1,
    max_size=6,
)


def spoilt(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """A dump with something cut out and something put in at some places."""
    for place, gone, put in edits:
        at = int(place * len(content))
        content = content[:at] + put + content[at + gone :]
    return content


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1), EDITS, st.sampled_from([7, 100, 4096, 1 << 18]))
def test_a_spoilt_dump_is_read_to_its_end_or_refused_and_runs_nothing(
    dumps: list[bytes], which: int, edits: list[tuple[float, int, bytes]], piece: int
) -> None:
    # A part of it, so that many are tried; its end is kept for what needs it.
    whole = dumps[which]
    content = spoilt(whole[:30_000], edits) + whole[-2000:]
    coarse, fine = read(content, 1 << 18), read(content, piece)
    assert coarse == fine, "how it is read makes no difference"


@pytest.mark.slow
def test_hundreds_of_spoilt_dumps_take_little_memory(dumps: list[bytes]) -> None:
    chance = random.Random(8)
    tracemalloc.start()
    try:
        for _ in range(250):
            whole = dumps[chance.randrange(2)]
            edits = [
                (chance.random(), chance.randrange(60), chance.choice(POISON)) for _ in range(chance.randrange(1, 5))
            ]
            content = spoilt(whole[:40_000], edits) + whole[-2000:]
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            read(content, 4096)
            assert tracemalloc.get_traced_memory()[1] - before < 20 * len(content)
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_spoilt_archives_are_answered_whatever_pg_restore_makes_of_them(depot: Depot, painful: str) -> None:
    chance = random.Random(9)
    whole = depot.dump(painful, "--format=custom", "--exclude-table=huge", "--compress=gzip:1")
    answers = []
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            content[chance.randrange(9, len(content))] = chance.randrange(256)
        answers.append(depot.job(bytes(content), "dump").ask("validate", deadline_seconds=60))
    assert all(answer["ok"] or answer["reason"] for answer in answers)
    assert sum(not answer["ok"] for answer in answers) > 5


def test_the_watch_for_harm_sees_some(tmp_path: object) -> None:
    def harm() -> None:
        with nothing_happens():
            compile("1", "", "eval")

    attempt: Callable[[], None] = harm
    with pytest.raises(AssertionError):
        attempt()
