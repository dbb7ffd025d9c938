# ruff: noqa: S608 - the tests' own words
"""Restores on a real stack that is changed or harmed meanwhile: data are all old or all new, and the site is back."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from restore import journal
from restore.journal import Record
from tests.conftest import LABEL, ROOT, Docker, remove_labelled, remove_what_dead_runs_left, run_docker, until
from tests.e2e.release import is_site
from tests.e2e.site import PROJECT, Site, new_site
from tests.e2e.test_rollback import migrate, unpin
from tests.e2e.traffic import Traffic

pytestmark = pytest.mark.slow

OPERATE = f"import sys; from setup import state; state.NAME = {PROJECT!r}; from operate.__main__ import main; " + (
    "sys.exit(main(sys.argv[1:]))"
)
VERB_SECONDS = 400
LATER = "aaaa00000000"
MIB = 1 << 20
# A disk that a test can fill: sparse, so that what nobody writes costs nothing.
DISK = 2000 * MIB
KEPT_FREE = 512 * MIB
ROOM = 150 * MIB
ROWS = 300_000
STEPS_AGAIN = 4
"""How often a step may be begun in one restore: a storm would be more."""


@dataclass
class Stack:
    """A stack whose database is on a small disk, what a person types about it, and what is seen of its restores."""

    site: Site
    folder: Path
    run_id: str
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Be somebody whose stack this is."""
        self.environment = {**os.environ, "XDG_STATE_HOME": str(self.folder), "STACK": self.site.stack, "YES": "yes"}

    def name(self, thing: str) -> str:
        """Return what something of the stack is called on the machine."""
        return f"{PROJECT}-{self.site.stack}-{thing}"

    @contextmanager
    def typing(self, *words: str, **more: str) -> Iterator[Typed]:
        """Type a verb, and look at what it says later."""
        path = self.folder / f"{time.monotonic_ns()}"
        with path.with_suffix(".out").open("w") as out, path.with_suffix(".err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-c", OPERATE, *words],
                cwd=ROOT, env=self.environment | more, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        try:
            yield Typed(process, path)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(30)

    def types(self, *words: str, **more: str) -> str:
        """Type a verb that has to go well, and return what it answers."""
        with self.typing(*words, **more) as typed:
            assert typed.ends() == 0, typed.said
            return typed.path.with_suffix(".out").read_text()

    def backup(self) -> str:
        """Make a backup and return its name."""
        self.types("backup")
        (newest, *_) = json.loads(self.types("backups", "list", "--json"))
        name: str = newest["id"]
        return name

    def restores(self, file: str) -> str:
        """Restore a file or backup that has to go well, and return what is said."""
        return self.types("restore", FILE=file)

    def receipts(self) -> list[dict[str, Any]]:
        """Return the receipts, newest first."""
        paths = sorted((self.store / "receipts").glob("*.json"), reverse=True)
        return [json.loads(path.read_bytes()) for path in paths]

    @property
    def store(self) -> Path:
        """The folder of the restore service's volume on the machine."""
        return Path(run_docker("volume", "inspect", "--format", "{{.Mountpoint}}", self.name("restore")))

    @property
    def spool(self) -> Path:
        """The folder in which files are taken apart."""
        return Path(run_docker("volume", "inspect", "--format", "{{.Mountpoint}}", self.name("restore-spool")))

    def sql(self, statement: str, database: str = "scaffold") -> str:
        """Run a statement as the superuser."""
        return run_docker("exec", self.name("database"), "psql", "-XqAt", "-d", database, "-c", statement)

    def head(self) -> str:
        """Return the schema's revision."""
        return self.sql("SELECT version_num FROM alembic_version")

    def content(self) -> str:
        """Return what tells one version of the data from the other, and from anything between them."""
        return self.sql("SELECT word, (SELECT count(*) FROM filler), (SELECT sum(n) FROM filler) FROM marker")

    def web(self) -> str:
        """Return what changes about web when somebody touches it."""
        told = "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}"
        return run_docker("container", "inspect", "--format", told, *self.site.containers("web", running=True))

    def free(self) -> int:
        """Return the free bytes of the database's disk."""
        blocks, size = run_docker("exec", self.holder, "stat", "-f", "-c", "%a %S", "/volume").split()
        return int(blocks) * int(size)

    @property
    def holder(self) -> str:
        """The container that has the disk mounted, whichever else has it: what is in memory would go with the last."""
        return self.name("holder")

    @contextmanager
    def nearly_full(self, room: int) -> Iterator[None]:
        """Have something else fill the disk to so many bytes above those that are kept free."""
        self.sql("CHECKPOINT")
        length = self.free() - KEPT_FREE - room
        assert length > 0, "the disk is fuller than that already"
        run_docker("exec", self.holder, "fallocate", "-l", str(length), "/volume/ballast")
        try:
            # The server's own word counts, and it says so every few seconds.
            said = self.sql
            until(
                lambda: int(said("SELECT public.free_bytes()", "postgres")) < KEPT_FREE + room + MIB, "word of it", 30
            )
            yield
        finally:
            run_docker("exec", self.holder, "rm", "/volume/ballast")

    def left(self) -> list[str]:
        """Return what a restore that has ended must not leave: databases, and files in spool and queue."""
        databases = self.sql("SELECT datname FROM pg_database WHERE datname ~ '__r_'").split()
        folders = (self.spool, self.store / "incoming", self.store / "processing")
        return [*databases, *(str(path) for folder in folders for path in folder.iterdir())]


@dataclass
class Typed:
    """A verb that runs."""

    process: subprocess.Popen[bytes]
    path: Path

    @property
    def said(self) -> str:
        """All that it has said so far."""
        return "".join(self.path.with_suffix(ending).read_text(errors="replace") for ending in (".out", ".err"))

    def ends(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(VERB_SECONDS)


@dataclass
class Job:
    """The restore that begins next, as its journal and its folder tell of it."""

    stack: Stack
    journal: Path
    spool: Path
    before: str

    def records(self) -> list[Record]:
        """Return what has been written down since."""
        records, _, _ = journal.parsed(self.journal.read_bytes(), self.journal)
        return [record for record in records if record.job > self.before]

    def is_at(self, step: str, phase: str) -> bool:
        """Whether it has come to a step; `loading` is a load of which the loader has told something."""
        if phase != "loading":
            return any((record.step, record.phase) == (step, phase) for record in self.records())
        for record in self.records()[-1:]:
            try:
                told = json.loads((self.spool / record.job / "progress.json").read_bytes())
            except (OSError, ValueError):
                continue
            return bool(told["phase"] == "load" and told["bytes"] > 0)
        return False

    def reaches(self, step: str, phase: str) -> None:
        """Wait until it has come to a step."""
        until(lambda: self.is_at(step, phase), f"{step} {phase}", 120)

    def ends(self) -> dict[str, Any]:
        """Wait for its receipt, and until the service looks at its queue again; return the receipt."""
        path = self.stack.store
        until(lambda: any(record.phase == "end" for record in self.records()), "end of the restore", 240)
        until(lambda: json.loads((path / "state.json").read_bytes())["status"] == "idle", "look at the queue", 60)
        return self.stack.receipts()[0]


def next_job(stack: Stack) -> Job:
    """Return the restore that begins next."""
    path = stack.store / "state.journal"
    records, _, _ = journal.parsed(path.read_bytes(), path)
    return Job(stack, path, stack.spool, max((record.job for record in records), default=""))


@contextmanager
def served(stack: Stack, *answers: str) -> Iterator[None]:
    """Ask the site all the time; it answers with these and nothing else, and is there at the end by itself."""
    with Traffic(stack.site.port) as traffic:
        yield
        stack.site.wait_for(is_site, 120)
    assert set(traffic.answers) <= set(answers), traffic.answers
    assert traffic.answers["200"] > 0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, run_id: str, docker: Docker) -> Iterator[Stack]:
    """A stack of its own on a disk of its own, serving its first release, and removed at the end."""
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    name = f"e2e-{run_id}-restore"
    settings = {
        "databaseMemory": "4096", "drainSeconds": "1", "readySeconds": "60", "restoreKeepPrevious": "1",
        "restorePollInterval": "1",
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("restore")
    made = Stack(new_site(folder, name, settings), tmp_path_factory.mktemp("person"), run_id)
    volume = made.name("database")
    labels = {"scaffold.project": PROJECT, "scaffold.stack": name, "scaffold.service": "database"}
    try:
        docker(
            "volume", "create", *(f"--label={label}={value}" for label, value in labels.items()),
            "--opt=type=tmpfs", "--opt=device=tmpfs", f"--opt=o=size={DISK},uid=10003,gid=10003,mode=0700", volume,
        )  # fmt: skip
        made.site.up()
        image = run_docker("container", "inspect", "--format", "{{.Image}}", made.name("database"))
        docker(
            "run", "--detach", "--name", made.holder, "--label", f"{LABEL}={run_id}", "--network", "none",
            "--volume", f"{volume}:/volume", image, "sleep", "infinity",
        )  # fmt: skip
        yield made
    finally:
        run_docker("rm", "--force", made.holder, check=False)
        remove_labelled(f"scaffold.stack={name}")


@pytest.fixture(scope="module")
def first(stack: Stack) -> tuple[str, str]:
    """The first release, and a backup that was made while it served."""
    return stack.site.outputs()["release"], stack.backup()


@pytest.fixture(scope="module")
def second(stack: Stack, first: tuple[str, str]) -> tuple[str, str]:
    """A release with one more migration, which the first one cannot live with, and a backup of its own."""
    migrate(stack.site, LATER, "compatible = False")
    stack.site.up()
    return stack.site.outputs()["release"], stack.backup()


def test_a_backup_of_before_a_migration_is_brought_up_to_the_release_that_runs(
    stack: Stack, first: tuple[str, str], second: tuple[str, str]
) -> None:
    stack.types("flask", "users", "add", "later@example.com", "--name", "Later")
    running = stack.site.containers("web", running=True)
    with served(stack, "200", "503"):
        stack.restores(first[1])
    receipt = stack.receipts()[0]
    assert (receipt["outcome"], receipt["upgraded"]) == ("done", True)
    assert receipt["schema"] != LATER == stack.head()
    assert stack.sql(f"SELECT count(added_{LATER}) FROM users") == "0"
    assert "later@example.com" not in stack.types("flask", "users", "list")
    assert stack.site.containers("web", running=True) == running
    assert stack.left() == []


def test_a_backup_of_after_a_migration_is_rejected_with_what_to_deploy_and_nobody_notices(
    stack: Stack, first: tuple[str, str], second: tuple[str, str]
) -> None:
    stack.site.config("release", first[0])
    stack.site.config("releaseDowngrade", "true")
    stack.site.up()
    before, web = stack.head(), stack.web()
    assert before != LATER
    with served(stack, "200"), stack.typing("restore", FILE=second[1]) as typed:
        assert typed.ends() == 1, typed.said
    assert f"its schema is at {LATER}" in typed.said
    assert f"Deploy a release that has {LATER} first: {second[0]} was the last one here" in typed.said
    receipt = stack.receipts()[0]
    assert (receipt["outcome"], receipt["failed_at"]) == ("rejected", "validate")
    assert (stack.head(), stack.web()) == (before, web)
    assert stack.left() == []


def test_a_restore_in_the_middle_of_an_update_has_the_migrations_that_the_update_ran(
    stack: Stack, first: tuple[str, str], second: tuple[str, str]
) -> None:
    unpin(stack.site)
    with updating(stack.site) as update:
        migrated = stack.name(f"migrate-{second[0]}")
        until(lambda: ended(migrated), "migration", 240)
        with served(stack, "200", "503"):
            said = stack.restores(first[1])
            assert update.wait(VERB_SECONDS) == 0, words(stack.site)
    assert "restored" in said
    receipt = stack.receipts()[0]
    assert (receipt["outcome"], receipt["upgraded"]) == ("done", True)
    assert stack.head() == LATER
    assert stack.site.outputs()["release"] == second[0]
    stack.site.up("--expect-no-changes")


def test_an_update_waits_for_a_restore_that_has_begun_to_stop_the_site(stack: Stack, second: tuple[str, str]) -> None:
    migrate(stack.site, "bbbb00000000", "compatible = True")
    job = next_job(stack)
    with served(stack, "200", "503"), stack.typing("restore", FILE=second[1]) as typed, ExitStack() as later:
        job.reaches("stop", "begin")
        with frozen(stack.name("db-restore")):
            update = later.enter_context(updating(stack.site))
            until(lambda: "waiting for the" in logs_of_migration(stack, second[0]), "wait for the lock", 240)
        assert typed.ends() == 0, typed.said
        assert update.wait(VERB_SECONDS) == 0, words(stack.site)
    assert stack.receipts()[0]["outcome"] == "done"
    assert stack.head() == "bbbb00000000"
    stack.site.up("--expect-no-changes")


@contextmanager
def updating(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """Run `pulumi up` meanwhile; what it says is in a file."""
    with (site.folder.parent / "update.log").open("w") as log:
        process = subprocess.Popen(
            [site.environment["SCAFFOLD_PULUMI"], "up", "--yes", "--skip-preview", "--non-interactive"],
            cwd=site.folder, env=site.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield process
        process.wait(VERB_SECONDS)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(120)


def words(site: Site) -> str:
    """Return what the update said last."""
    return (site.folder.parent / "update.log").read_text()[-6000:]


def ended(container: str) -> bool:
    """Whether a container has run to a good end."""
    found = run_docker(
        "container", "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", container, check=False
    )
    return found == "exited 0"


def logs_of_migration(stack: Stack, but: str) -> str:
    """Return what the migration of another release than one says."""
    found = [name for name in stack.site.containers("migrate") if not name.endswith(but)]
    done = subprocess.run(["docker", "logs", *found[:1]], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


@contextmanager
def frozen(container: str) -> Iterator[None]:
    """Have a container's first process stand still, as on a machine that is busy with something else."""
    process = int(run_docker("container", "inspect", "--format", "{{.State.Pid}}", container))
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.fixture(scope="module")
def versions(stack: Stack) -> dict[str, Path]:
    """Dumps of two versions of the live database, of which it is one."""
    stack.sql("SET ROLE owner; CREATE TABLE marker (word text); CREATE TABLE filler (n bigint)")
    made = {}
    for number, word in enumerate(("old", "new")):
        stack.sql(
            f"TRUNCATE marker, filler; INSERT INTO marker VALUES ('{word}');"
            f"INSERT INTO filler SELECT n + {number} FROM generate_series(1, {ROWS}) n"
        )
        made[word] = stack.folder / f"{word}.dump"
        with made[word].open("wb") as file:
            command = ["docker", "exec", stack.name("database"), "pg_dump", "-U", "postgres", "-Fc", "scaffold"]
            subprocess.run(command, stdout=file, timeout=120, check=True)
    return made


def other(stack: Stack, versions: dict[str, Path]) -> Path:
    """Return the version that is not live."""
    return versions["old" if stack.content().startswith("new") else "new"]


KILLED = [
    ("db-restore", "load", "made"),
    ("db-restore", "swap", "begin"),
    ("db-restore", "start", "begin"),
    ("db-restore-gate", "stop", "begin"),
    ("db-restore-loader", "load", "loading"),
    ("database", "load", "loading"),
    ("database", "fence", "begin"),
    ("database", "swap", "begin"),
]


@pytest.mark.parametrize(("service", "step", "phase"), KILLED)
def test_what_is_killed_in_a_restore_comes_back_and_the_data_are_all_old_or_all_new(
    stack: Stack, versions: dict[str, Path], service: str, step: str, phase: str
) -> None:
    old, running = stack.content(), stack.site.containers("web", running=True)
    receipts, job = len(stack.receipts()), next_job(stack)
    killed = stack.name(service)
    process = int(run_docker("container", "inspect", "--format", "{{.State.Pid}}", killed))
    with served(stack, "200", "503"), stack.typing("restore", FILE=str(other(stack, versions))) as typed:
        job.reaches(step, phase)
        os.kill(process, signal.SIGKILL)
        receipt = job.ends()
        code = typed.ends()
    new = stack.content()
    assert receipt["outcome"] == "done", receipt
    assert new != old
    assert new.split("|")[1] == str(ROWS)
    assert stack.site.containers("web", running=True) == running
    begun = Counter(record.step for record in job.records() if record.phase == "begin")
    assert max(begun.values()) <= STEPS_AGAIN, begun
    assert len({record.job for record in job.records()}) == 1
    assert len(stack.receipts()) == receipts + 1
    assert stack.left() == []
    if service == "db-restore":
        # Whoever waited reads where to look, and not that it is to be asked for once more.
        assert code != 0
        assert f"make restores STACK={stack.site.stack} ARGS=status" in typed.said
    else:
        assert code == 0, typed.said


@contextmanager
def untouched(stack: Stack) -> Iterator[None]:
    """See that what happens in the block changes nothing about the data and the app, and that nobody notices."""
    before = stack.content(), stack.web(), restarts(stack)
    with served(stack, "200"):
        yield
    assert (stack.content(), stack.web(), restarts(stack)) == before
    assert stack.left() == []


def restarts(stack: Stack) -> str:
    """Return how often the database was started."""
    return run_docker(
        "container", "inspect", "--format", "{{.RestartCount}} {{.State.StartedAt}}", stack.name("database")
    )


def written(stack: Stack, name: str, table: str, rows: Iterator[bytes]) -> Path:
    """Write a dump of the live database with one table more, packed; its rows are alike, and so it is small."""
    command = ["docker", "exec", stack.name("database"), "pg_dump", "-U", "postgres", "-T", "filler", "scaffold"]
    text = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout
    head, mark, tail = text.rpartition(b"--\n-- PostgreSQL database dump complete")
    assert mark
    path = stack.folder / name
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        file.write(f"CREATE TABLE public.{table};\nCOPY public.{table.split()[0]} FROM stdin;\n".encode())
        for row in rows:
            file.write(row)
        file.write(b"\\.\n\n" + mark + tail)
    return path


def test_a_file_too_large_for_the_databases_disk_is_refused_with_the_numbers(
    stack: Stack, versions: dict[str, Path]
) -> None:
    row = b"x" * 102_400 + b"\n"
    large = written(stack, "large.sql.gz", "wide (word text)", (row for _ in range(ROOM // len(row) * 5 // 4)))
    assert large.stat().st_size < ROOM // 20
    with stack.nearly_full(ROOM), untouched(stack), stack.typing("restore", FILE=str(large)) as typed:
        assert typed.ends() == 1, typed.said
    receipt = stack.receipts()[0]
    assert (receipt["outcome"], receipt["failed_at"]) == ("rejected", "validate")
    assert "MB free, and the file needs about" in receipt["reason"]
    assert receipt["reason"] in typed.said


def test_a_file_that_turns_out_too_large_while_it_is_loaded_is_given_up_before_the_disk_is_full(
    stack: Stack, versions: dict[str, Path]
) -> None:
    # Two bytes of text are thirty-six in the database, and as many again on the way there.
    block = b"1\n" * 100_000
    narrow = written(stack, "narrow.sql.gz", "narrow (n integer)", (block for _ in range(120)))
    since = str(int(time.time()))
    with stack.nearly_full(ROOM), untouched(stack), stack.typing("restore", FILE=str(narrow)) as typed:
        assert typed.ends() == 1, typed.said
    receipt = stack.receipts()[0]
    assert (receipt["outcome"], receipt["failed_at"]) in (("failed", "load"), ("failed", "verify"))
    assert "so the load was given up" in receipt["reason"]
    assert receipt["reason"] in typed.said
    log = subprocess.run(
        ["docker", "logs", "--since", since, stack.name("database")],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert "No space left" not in log.stdout + log.stderr


def test_a_restore_goes_well_again_once_there_is_room_and_the_list_tells_of_all(
    stack: Stack, versions: dict[str, Path]
) -> None:
    with served(stack, "200", "503"):
        stack.restores(str(other(stack, versions)))
    said = stack.types("restores")
    for receipt in stack.receipts():
        assert receipt["job"] in said
    assert "rejected" in said
    assert "so the load was given up" in said
