"""A restore of a gigabyte: how long the app is away, beside the same by hand; speed, memory, and a watcher at rest."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "backup"))

from bench import place, processor, resident, server
from bench.asked import Asked, asking
from bench.backup import LARGEST_ROW, SECONDS, WIDE, escaped, fill, shop
from bench.row import Row, spread
from bench.stack import as_a_users
from restore import scratch
from tests.conftest import run_docker
from tests.e2e.probed import overlay
from tests.e2e.site import Site, new_site
from tests.restore.depot import LOADER, PASSWORD, Depot, Job

LARGE, SMALL = 1000, 100
TURNS = 3
CONNECTIONS = 4
PAUSE_SECONDS = 0.02
BEFORE_SECONDS = 3.0
IDLE_SECONDS = 120
PAGE = "/probe/release"
TABLES = "customers, orders, lines, events, documents"
KEPT = "/var/lib/postgresql/by-hand.dump"


def rows(
    large: int = LARGE, small: int = SMALL, turns: int = TURNS, idle_seconds: float = IDLE_SECONDS
) -> Iterator[Row]:
    """Measure all of it."""
    with place.own("restore") as own:
        with server.beside(Depot, own.folder, own.run_id, restore_loader=PASSWORD) as depot:
            depot.run("CREATE DATABASE shop OWNER owner TEMPLATE template0")
            fill(depot.database.name, "shop", shop(large))
            depot.run("CREATE DATABASE wide OWNER owner TEMPLATE template0")
            fill(depot.database.name, "wide", f"\\set pieces {LARGEST_ROW // 16}\n{WIDE}")
            yield speed(depot, large, turns)
            yield from memory(depot, large)
        yield from downtime(own.folder, own.stack, (large, small), turns, idle_seconds)


def speed(depot: Depot, megabytes: int, turns: int) -> Row:
    """Measure a load of a dump in turn with pg_restore, which loads the same file into an empty database."""
    content = depot.dump("shop", "--format=custom", "--compress=zstd:3")
    passwords = depot.files / "pgpass"
    passwords.write_text(f"*:*:*:*:{escaped(PASSWORD)}\n", encoding="utf-8")
    os.chown(passwords, LOADER, LOADER)
    passwords.chmod(0o400)
    job = depot.job(content, "dump")
    job.request("validate")
    said(job)
    ours, theirs = [], []
    for turn in range(turns + 1):
        began = time.monotonic()
        load(depot, job)
        between = time.monotonic()
        typed(depot, job)
        # The first of all finds the file on the disk.
        if turn:
            ours.append(between - began)
            theirs.append(time.monotonic() - between)
    measured = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    (job.folder / "file").unlink()
    how = f"{megabytes} MB in a file of {len(content) / 1e6:.0f} MB; s: ours {spread(ours)}; "
    how += f"`pg_restore -j` {spread(theirs)}"
    return Row("restore: speed of a load, over pg_restore", measured, 0.8, "of its speed", how, least=True)


def load(depot: Depot, job: Job) -> None:
    """Have the loader load a job's file into a new database; raise RuntimeError when it does not."""
    name = depot.scratch()
    try:
        job.request("load", database=name)
        said(job)
    finally:
        depot.drop(name)


def said(job: Job) -> None:
    """Wait for the loader's answer; raise RuntimeError with it when it failed."""
    answer = job.answer(SECONDS)
    if not answer["ok"]:
        raise RuntimeError(str(answer))


def typed(depot: Depot, job: Job) -> None:
    """Load the same file into a new database with pg_restore, as the same role in the same container."""
    name = depot.scratch()
    try:
        run_docker(
            "exec", depot.name, "pg_restore", "--exit-on-error", "--no-owner", "--no-acl", f"--jobs={os.cpu_count()}",
            f"--dbname=host=database dbname={name} user={scratch.LOADER} passfile=/run/files/pgpass",
            f"/spool/{job.folder.name}/file", timeout=SECONDS,
        )  # fmt: skip
    finally:
        depot.drop(name)


def memory(depot: Depot, megabytes: int) -> Iterator[Row]:
    """Measure the most that the loader holds for a large file of small rows and a small one with a large row."""
    for database, options, kind, largest in (
        ("shop", ["--format=plain"], "sql", 8 << 10),
        ("shop", ["--format=custom", "--compress=zstd:3"], "dump", 8 << 10),
        ("wide", ["--format=plain"], "sql", LARGEST_ROW),
        ("wide", ["--format=custom", "--compress=zstd:3"], "dump", LARGEST_ROW),
    ):
        job = depot.job(depot.dump(database, *options), kind)
        with resident.watched(depot.name) as most:
            job.request("validate")
            said(job)
            load(depot, job)
        (job.folder / "file").unlink()
        what = f"restore: memory of the loader, .{kind} with a row of {largest / 2**20:.3g} MiB"
        size = megabytes if database == "shop" else LARGEST_ROW / 1e6
        how = f"database of {size:.0f} MB, sum of PSS at its highest: {most.words()}"
        yield Row(what, most.total, 200 + 5 * largest / 2**20, "MiB", how)


def downtime(folder: Path, stack: str, sizes: Sequence[int], turns: int, idle_seconds: float) -> Iterator[Row]:
    """Measure how long a stack gives no good answer, for databases of some sizes, in turn with the same by hand."""
    (folder / "site").mkdir()
    settings = {"backupSchedule": "0 0 29 2 *", "backupDrillSchedule": "never", "drainSeconds": "1"}
    site = as_a_users(new_site(folder / "site", stack, settings, overlay))
    site.up()
    (service,) = site.containers("db-restore", running=True)
    for megabytes in sizes:
        statements = f"DROP TABLE IF EXISTS {TABLES};\n{shop(megabytes)}"
        fill(one(site, "database"), "scaffold", f"SET ROLE owner;\n{statements}RESET ROLE; CHECKPOINT;")
        dump = backed_up(site)
        ours, theirs = [], []
        for _ in range(turns):
            ours.append(away(site, lambda: submitted(service)))
            theirs.append(away(site, lambda: by_hand(site)))
        how = f"s, {dump / 1e6:.0f} MB of dump, {CONNECTIONS / PAUSE_SECONDS:.0f} requests/s: {spread(ours)}; "
        how += f"`docker stop`, `pg_restore --clean -j`, `docker start`: {spread(theirs)}"
        what = f"restore of {megabytes} MB: last good answer to first good answer"
        yield Row(what, statistics.median(ours), 5, "s", how)
    with resident.watched(service) as most:
        submitted(service)
    yield Row("restore: memory of the coordinator", most.total, 200, "MiB", most.words())
    idle = processor.share(service, idle_seconds)
    how = f"over {idle_seconds:.0f} s, its health checks with it; the loader: "
    how += f"{processor.share(one(site, 'db-restore-loader'), idle_seconds):.2g} %"
    yield Row("restore: an idle watcher", idle, 0.5, "% of a core", how)


def one(site: Site, service: str) -> str:
    """Return the name of a service's only container."""
    (name,) = site.containers(service, running=True)
    return name


def backed_up(site: Site) -> int:
    """Make a backup, lay its dump where by_hand finds it, and return how large that is."""
    service = one(site, "db-backup")
    run_docker("exec", service, "python", "-m", "backup", "run", "--wait", timeout=SECONDS)
    newest, *_ = json.loads(run_docker("exec", service, "python", "-m", "backup", "list", "--json"))
    read = f"cat {newest['folder']}/*.dump"
    # A pipe between two containers: neither has a folder of the other's.
    with subprocess.Popen(["docker", "exec", service, "sh", "-c", read], stdout=subprocess.PIPE) as reading:
        write = ["docker", "exec", "-i", one(site, "database"), "sh", "-c", f"cat > {KEPT}"]
        subprocess.run(write, stdin=reading.stdout, timeout=SECONDS, check=True)
    return int(run_docker("exec", one(site, "database"), "stat", "-c", "%s", KEPT))


def submitted(service: str) -> None:
    """Restore the newest backup through the queue, to its end."""
    run_docker("exec", service, "python", "-m", "restore", "submit", "latest", "--wait", timeout=SECONDS)


def by_hand(site: Site) -> None:
    """Restore the same file as people do without the project."""
    web, database = one(site, "web"), one(site, "database")
    run_docker("stop", web)
    options = ("--clean", "--if-exists", "--exit-on-error", f"--jobs={os.cpu_count()}")
    run_docker("exec", database, "pg_restore", *options, "--dbname=scaffold", KEPT, timeout=SECONDS)
    run_docker("start", web)


def away(site: Site, restoring: Callable[[], None]) -> float:
    """Return the seconds from the last good answer before a restore to the first one after it.

    Raise RuntimeError where it was never away, where something else was answered than a good answer or the page, and
    where it did not come back.
    """
    site.wait_for(lambda answer: answer.status == 200, path=PAGE)
    with asking(site.port, PAGE, connections=CONNECTIONS, pause=PAUSE_SECONDS) as asked:
        time.sleep(BEFORE_SECONDS)
        restoring()
        ended = time.monotonic()
        site.wait_for(lambda answer: answer.status == 200, seconds=60, path=PAGE)
        while asked[-1].status != 200 or asked[-1].sent < ended:
            time.sleep(0.01)
    return longest(asked)


def longest(asked: Sequence[Asked]) -> float:
    """Return the longest time between two good answers; raise RuntimeError for one that is neither good nor 503."""
    others = Counter(each.status for each in asked if each.status not in (200, 503))
    if others:
        raise RuntimeError(f"answers that a visitor should not see: {dict(others)}")
    good = sorted(each.answered for each in asked if each.status == 200)
    return max(after - before for before, after in pairwise(good))
