"""A large table is read range by range, so that others get a turn in between, and its hash is what it would be."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backup import reading

EDGE = re.compile(r"t\.ctid (>=|<) '\((\d+),0\)'")
HOLES = """CREATE TABLE holes AS SELECT i, md5(i::text) AS word, repeat('x', i % 300) AS filling
FROM generate_series(1, 120000) i;
DELETE FROM holes WHERE i % 7 = 0 OR i BETWEEN 40000 AND 60000;
INSERT INTO holes SELECT -i, 'later', NULL FROM generate_series(1, 1000) i;"""

# Says how many tables it sees, by a snapshot that is older than what happens while it waits.
LATER = """
import os, pathlib
from backup import connection, reading, url
target = url.parse(pathlib.Path(os.environ["DATABASE_URL_FILE"]).read_text())
with connection.connect(target) as session:
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    print(len(reading.tables(session)), flush=True)
    input()
    print(len(reading.tables(session)))
"""


def holds(condition: str, block: int) -> bool:
    """Whether a row of a block is among those that a condition wants."""
    edges = [(sign, int(number)) for sign, number in EDGE.findall(condition)]
    return all(block >= number if sign == ">=" else block < number for sign, number in edges)


@given(blocks=st.integers(0, 40 * reading.RANGE), block=st.integers(0, 60 * reading.RANGE))
def test_each_block_is_in_one_range_also_one_that_came_after_they_were_counted(blocks: int, block: int) -> None:
    assert sum(holds(condition, block) for condition in reading.ranges(blocks)) == 1


def test_the_hash_of_a_table_that_is_read_in_ranges_is_that_of_the_whole(desk: Any) -> None:
    desk.stage.sql(HOLES, "small")
    try:
        done = desk.run("run")
        assert done.status == 0, done.text
        contents = json.loads(desk.run("show", "latest").text)["manifest"]["contents"]
        size = int(desk.stage.sql("SELECT pg_relation_size('holes') / 8192", "small"))
        assert size > 3 * reading.RANGE, "it is read in ranges"
        place = reading.Place("public", "holes", "", True, False, ("filling", "i", "word"), size)
        count, first, second = desk.stage.sql(reading.count_and_hash(place), "small").split("|")
        wanted = {"name": place.name, "rows": int(count), "hash": reading.joined(int(first), int(second))}
        assert wanted in contents["tables"]
    finally:
        desk.stage.sql("DROP TABLE holes", "small")


def test_a_table_that_is_dropped_while_tables_are_listed_ends_nothing(desk: Any) -> None:
    desk.stage.sql("CREATE TABLE gone (i int)", "small")
    url = f"DATABASE_URL_FILE={desk.environ['DATABASE_URL_FILE']}"
    command = ["docker", "exec", "-i", "-e", url, desk.stage.name, "python", "-c", LATER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as listing:
        assert listing.stdout
        before = listing.stdout.readline()
        desk.stage.sql("DROP TABLE gone", "small")
        after, _ = listing.communicate("\n", timeout=60)
    assert before == after
