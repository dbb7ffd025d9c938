"""Files as they come: cut short, damaged, packed, packed too well, and not what their names say."""

from __future__ import annotations

import contextlib
import gzip
import os
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backup.tools import Tools
from restore import dump, inlet
from restore.inlet import Inlet
from restore.refusal import RefusalError

TEXT = b"-- a dump\n" + b"".join(b"INSERT INTO t VALUES (%d);\n" % number for number in range(20_000))


def unpacked(path: Path, most: int = 1 << 30) -> bytes:
    """All that is packed in a file."""
    with inlet.opened(path) as file:
        taking = Inlet(file, packed=True, most=most)
        return b"".join(iter(taking.read, b""))


def test_what_gzip_packed_comes_out_whole_in_one_part_or_several(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (gzip.compress(TEXT), gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:]) + gzip.compress(b"")):
        path.write_bytes(content)
        assert unpacked(path) == TEXT
    assert inlet.checked(path, "sql.gz").startswith(b"-- a dump")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.6, 0.999])
def test_what_is_cut_short_is_refused(tmp_path: Path, part: float) -> None:
    content = gzip.compress(TEXT)
    path = tmp_path / "file"
    path.write_bytes(content[: max(1, int(len(content) * part))])
    with pytest.raises(RefusalError, match=r"ends before what gzip packed does|not packed by gzip"):
        unpacked(path)


def test_trailing_garbage_a_wrong_sum_and_any_flipped_bit_are_refused(tmp_path: Path) -> None:
    content = gzip.compress(TEXT)
    path = tmp_path / "file"
    path.write_bytes(content + b"garbage")
    with pytest.raises(RefusalError, match="follows what it did"):
        unpacked(path)
    path.write_bytes(content + b"\0" * 100)
    with pytest.raises(RefusalError, match="follows what it did"):
        unpacked(path)
    path.write_bytes(content[:-8] + b"\0" * 8)
    with pytest.raises(RefusalError, match="damaged: incorrect data check"):
        unpacked(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(min_value=10 * 8), st.binary(min_size=1, max_size=2000))
def test_a_flipped_bit_never_comes_out_as_something_else(tmp_path: Path, bit: int, text: bytes) -> None:
    content = bytearray(gzip.compress(text))
    bit %= len(content) * 8
    content[bit // 8] ^= 1 << bit % 8
    path = tmp_path / "file"
    path.write_bytes(content)
    with contextlib.suppress(RefusalError):
        # A bit of the header's time or system says nothing about what follows it.
        assert unpacked(path) == text


def test_a_small_file_that_comes_to_a_large_one_ends_at_the_bound_and_takes_no_memory(tmp_path: Path) -> None:
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    path = tmp_path / "file"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(packing.compress(bytes(1 << 20)))
        file.write(packing.flush())
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with inlet.opened(path) as file:
            taking = Inlet(file, packed=True, most=50_000_000)
            with pytest.raises(RefusalError, match="more than the 50000000 bytes"):
                sum(len(piece) for piece in iter(taking.read, b""))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "kind", "words", "hint"),
    [
        (b"", "sql", "the file is empty", "cut short"),
        (b"", "dump.gz", "the file is empty", "cut short"),
        (gzip.compress(b""), "sql.gz", "what gzip packed is empty", "cut short"),
        (b"PGDMP\1\x10\0", "sql", "is a dump in pg_dump's custom format", "Name it .dump"),
        (gzip.compress(b"PGDMP\1\x10\0"), "sql.gz", "is a dump in pg_dump's custom format", "Name it .dump.gz"),
        (b"-- PostgreSQL database dump", "dump", "is no dump in pg_dump's custom format", "name it .sql"),
        (gzip.compress(b"--"), "sql", "is packed by gzip", "Pack it once"),
        (gzip.compress(gzip.compress(b"--")), "sql.gz", "packed twice", "Pack it once"),
        (b"-- SELECT", "sql.gz", "is not packed by gzip", "without .gz"),
        (b"SQLite format 3\0", "dump", "is an SQLite database", "Name it .db"),
        (b"toc.dat" + bytes(250) + b"ustar\x0000", "dump", "is a tar archive", "pg_dump --format=custom"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_told_what_it_is(
    tmp_path: Path, content: bytes, kind: str, words: str, hint: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RefusalError) as caught:
        inlet.checked(path, kind)
    assert words in caught.value.reason
    assert hint in caught.value.hint


def test_links_pipes_and_folders_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(TEXT)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "missing"):
        with pytest.raises(RefusalError, match=name):
            inlet.opened(tmp_path / name)


def test_an_archive_newer_than_the_tools_or_ancient_is_refused_with_both_versions() -> None:
    tools = Tools(Path("/usr/bin"), 17, 12, frozenset())
    dump.check(dump.version(b"PGDMP\1\x10\0"), tools)
    with pytest.raises(RefusalError, match=r"archive version is 1\.99-0, and PostgreSQL 17.12 reads 1.10 to 1.16"):
        dump.check(dump.version(b"PGDMP\1\x63\0"), tools)
    with pytest.raises(RefusalError, match=r"archive version is 1\.2-3"):
        dump.check(dump.version(b"PGDMP\1\2\3"), tools)
    with pytest.raises(RefusalError, match="inside its header"):
        dump.version(b"PGDMP\1")


def test_what_pg_restore_says_is_told_without_rows_and_statements() -> None:
    said = [
        "pg_restore: connecting to database for restore",
        "pg_restore: while PROCESSING TOC:",
        "pg_restore: from TOC entry 3400; 0 16385 TABLE DATA users owner",
        'pg_restore: error: COPY failed for table "users": ERROR:  duplicate key value violates unique constraint "k"',
        "DETAIL:  Key (email)=(secret@example.com) already exists.",
        "CONTEXT:  COPY users, line 7",
        "pg_restore: error: a worker process died unexpectedly",
    ]
    found = dump.explained(said, 1)
    assert found.reason == (
        'pg_restore: COPY failed for table "users": ERROR:  duplicate key value violates unique constraint "k" '
        "in TABLE DATA users owner, line 7 of its data"
    )
    assert not found.transient
    value = ['pg_restore: error: could not execute query: ERROR:  invalid input syntax for type json: "s3cret"']
    assert "s3cret" not in dump.explained(value, 1).reason
    lost = ["pg_restore: error: could not execute query: server closed the connection unexpectedly"]
    assert dump.explained(lost, 1).transient
    assert dump.explained([], -9).reason == "pg_restore ended with signal 9"
