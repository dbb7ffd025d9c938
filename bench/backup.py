"""A backup of a gigabyte: beside pg_dump alone, beside the same done by hand, its memory, and what visitors notice."""

from __future__ import annotations

import statistics
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from bench import elsewhere, place, resident, server
from bench.row import Row, spread
from bench.stack import as_a_users
from prober import work
from prober.load import Load
from prober.tally import Tally
from tests.backup.conftest import PASSWORD, Desk, Stage
from tests.conftest import run_docker
from tests.e2e.probed import overlay
from tests.e2e.site import new_site

HERE = Path(__file__).parent
MEGABYTES = 1000
TURNS = 3
RATE = 100
REST_SECONDS = 60
LARGEST_ROW = 64 << 20
SECONDS = 3600
WIDE = """CREATE TABLE wide (id int PRIMARY KEY, body bytea);
INSERT INTO wide SELECT 1, decode(string_agg(md5(i::text), ''), 'hex') FROM generate_series(1, :pieces) i;"""


def rows(megabytes: int = MEGABYTES, turns: int = TURNS, rest_seconds: float = REST_SECONDS) -> list[Row]:
    """Measure the four."""
    with place.own("backup") as own:
        with server.beside(Stage, own.folder, own.run_id, backup_ro=PASSWORD) as stage:
            stage.make_database("shop", "")
            fill(stage.database.name, "shop", shop(megabytes))
            stage.make_database("wide", f"\\set pieces {LARGEST_ROW // 16}\n{WIDE}")
            found = [
                *beside(Bench(stage, "shop"), turns),
                memory_of(Bench(stage, "shop"), megabytes, 8 << 10),
                memory_of(Bench(stage, "wide"), 64, LARGEST_ROW),
            ]
        return [*found, *visitors(own.folder, own.stack, megabytes, rest_seconds)]


def shop(megabytes: int) -> str:
    """Return the statements that fill a database with so much."""
    return f"\\set scale {megabytes}\n{(HERE / 'shop.sql').read_text(encoding='utf-8')}"


def fill(container: str, database: str, statements: str) -> None:
    """Run statements as the superuser; raise RuntimeError with the server's words when one fails."""
    command = ["docker", "exec", "-i", container, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database]
    done = subprocess.run(command, input=statements, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


class Bench:
    """Programs in the container, on one database, with a folder that is emptied after each."""

    def __init__(self, stage: Stage, database: str) -> None:
        self.stage = stage
        self.database = database
        self.desk = Desk(stage, database, f"{database}-{uuid.uuid4().hex[:6]}")
        self.passwords = stage.file("pgpass", f"*:*:*:*:{escaped(PASSWORD)}\n".encode())
        for name in ("reduced.py", "by_hand.py"):
            stage.file(name, (HERE / name).read_bytes())

    def say(self, *command: str) -> str:
        """Run a program to its end and return what it prints; raise RuntimeError when it fails."""
        given = [word for name, value in self.desk.environ.items() for word in ("-e", f"{name}={value}")]
        done = subprocess.run(
            ["docker", "exec", *given, self.stage.name, *command],
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        run_docker("exec", self.stage.name, "find", self.desk.environ["BACKUP_DIR"], "-mindepth", "1", "-delete")
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def seconds(self, *command: str) -> float:
        """Return how long a program takes."""
        began = time.monotonic()
        self.say(*command)
        return time.monotonic() - began

    def run(self) -> float:
        """Return how long a whole run takes."""
        return self.seconds("python", "-m", "backup", "run")

    def reduced(self) -> float:
        """Return how long a run takes that only dumps and writes its manifest."""
        return self.seconds("python", "/run/files/reduced.py")

    def by_hand(self) -> float:
        """Return how long the same takes that a run does, done by hand."""
        return float(self.say("python", "/run/files/by_hand.py"))

    def raw(self) -> float:
        """Return how long pg_dump takes by itself, with the compression of a backup."""
        place = f"host=database dbname={self.database} user=backup_ro passfile={self.passwords}"
        to = f"--file={self.desk.environ['BACKUP_DIR']}/raw.dump"
        return self.seconds("pg_dump", "-Fc", "--compress=zstd:3", to, f"--dbname={place}")


def escaped(password: str) -> str:
    """Return a password as a file of passwords has it."""
    return password.replace("\\", "\\\\").replace(":", "\\:")


def beside(bench: Bench, turns: int) -> list[Row]:
    """Measure runs in turn with the same done by others, on a database that nobody writes to."""
    # The first of all finds the database's pages on disk.
    bench.raw()
    reduced, raw, full, hand = [], [], [], []
    for _ in range(turns):
        reduced.append(bench.reduced())
        raw.append(bench.raw())
        full.append(bench.run())
        hand.append(bench.by_hand())
    return [
        ratio(
            "backup: dump, fsync and manifest alone, over pg_dump", reduced, raw, 1.1, "`pg_dump -Fc --compress=zstd:3`"
        ),
        ratio("backup: a full run, over the same by hand", full, hand, 1.3, "dump, read, `pg_restore -j` and hashes"),
    ]


def ratio(what: str, ours: Sequence[float], theirs: Sequence[float], bound: float, name: str) -> Row:
    """Return the row for times taken in turn."""
    measured = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return Row(what, measured, bound, "of its time", f"s: ours {spread(ours)}; {name} {spread(theirs)}")


def memory_of(bench: Bench, megabytes: int, largest: int) -> Row:
    """Measure the most that a whole run holds, without the server of the test restore."""
    with resident.watched(bench.stage.name) as most:
        bench.run()
    bound = 150 + 5 * largest / 2**20
    how = f"{bench.database} database of {megabytes} MB, sum of PSS at its highest: {most.words()}"
    return Row(f"backup: memory, largest row of {largest / 2**20:.3g} MiB", most.total, bound, "MiB", how)


def visitors(folder: Path, stack: str, megabytes: int, rest_seconds: float) -> list[Row]:
    """Measure a page's 99th percentile at a stack, at rest and while a backup of so much is made."""
    (folder / "site").mkdir()
    site = as_a_users(new_site(folder / "site", stack, {"backupSchedule": "0 0 29 2 *"}, overlay))
    site.up()
    database, service, gateway = (
        site.containers(name, running=True)[0] for name in ("database", "db-backup", "gateway")
    )
    fill(database, "scaffold", f"SET ROLE owner;\n{shop(megabytes)}RESET ROLE; CHECKPOINT;")
    with elsewhere.Visitors(Load(elsewhere.door(gateway, site.url), works("backup"))) as running:
        running.wait_for_answers(10 * RATE)
        running.cut()
        running.wait_for_answers(round(RATE * rest_seconds), seconds=60 + 2 * rest_seconds)
        before = running.cut()
        began = time.monotonic()
        run_docker("exec", service, "python", "-m", "backup", "run", "--wait", timeout=SECONDS)
        seconds = time.monotonic() - began
        during = running.lap()
    return slowed(before, during, seconds, megabytes)


def works(run: str) -> list[work.Work]:
    """Return what visitors ask for: pages that ask the database, on open and on new connections, and orders."""
    return [
        work.get("/probe/release", RATE * 0.4),
        work.fresh("/probe/release", RATE * 0.2),
        work.post("/probe/orders", RATE * 0.4, run),
    ]


def slowed(before: Tally, during: Tally, seconds: float, megabytes: int) -> list[Row]:
    """Return the rows for visitors; raise RuntimeError where they are not served even at rest."""
    if before.served < before.sent:
        raise RuntimeError(f"at rest {before.sent - before.served} of {before.sent} requests were not served")
    rest, busy = (tally.percentile(0.99) * 1000 for tally in (before, during))
    how = f"ms at {RATE} requests/s, {megabytes} MB, a run of {seconds:.0f} s: {busy:.3g}, at rest {rest:.3g}"
    return [
        Row("backup: 99th percentile of requests meanwhile, over rest", busy / rest, 1.5, "of that at rest", how),
        Row("backup: requests not served meanwhile", during.sent - during.served, 0, "", f"of {during.sent}"),
    ]
