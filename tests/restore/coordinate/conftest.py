# ruff: noqa: S608 - the tests' own words
"""A server with two versions of a site's data, an app that uses it, a loader, and the coordinator between them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from restore import roles
from tests.conftest import ROOT, build, until

HERE = Path(__file__).parent
COORDINATOR, LOADER, GROUP = 10005, 10006, 10004
PASSWORDS = {
    "owner": "own@er",
    "app_a": "app/a",
    "restore_admin": "ad:m%in'",
    "restore_loader": "lo\\ader",
    "tests": "t",
}
LIVE = "scaffold"
Docker = Callable[..., str]

# What a restore does not bring back, on purpose.
SECURITY = [
    "audit_events",
    "event_counts",
    "sessions",
    "saml_transactions",
    "releases",
    "schema_steps",
    "consumed_messages",
]


class Done:
    """What a command of the service came to."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.text.splitlines() if line.startswith('{"')]


class Stage:
    """A server, a container with the loader, the app and the board, and the coordinator run in it."""

    def __init__(self, docker: Docker, database_image: str, image: str, run_id: str, root: Path) -> None:
        self.docker = docker
        self.root = root
        self.label = f"scaffold.test={run_id}"
        self.server = f"scaffold-test-restore-{uuid.uuid4().hex[:8]}"
        self.name = f"{self.server}-service"
        self.network = f"{self.server}-network"
        self.image, self.database_image = image, database_image
        self.environ = self.settings()
        self.contents: dict[str, str] = {}
        self.until = until
        for folder, owner in (("restore", COORDINATOR), ("spool", COORDINATOR), ("board", 0), ("files", 0)):
            (root / folder).mkdir()
            os.chown(root / folder, owner, GROUP)
        (root / "spool").chmod(0o2770)
        (root / "board").chmod(0o777)
        self.incoming.mkdir()
        os.chown(self.incoming, COORDINATOR, GROUP)
        self.incoming.chmod(0o770)

    @property
    def incoming(self) -> Path:
        return self.root / "restore/incoming"

    def url(self, role: str, database: str = LIVE) -> str:
        """A role's way into a database, from the container."""
        made = make_url("postgresql+psycopg://database:5432/x").set(
            username=role, password=PASSWORDS[role], database=database
        )
        return made.render_as_string(hide_password=False)

    def settings(self) -> dict[str, str]:
        """The coordinator's settings."""
        return {
            "RESTORE_ADMIN_URL": self.url("restore_admin"),
            "RESTORE_LOADER_URL": self.url("restore_loader"),
            "RESTORE_GATE_SOCKET": "/board/gate.sock",
            "RESTORE_STOP_CONTAINERS": "web",
            "RESTORE_SPOOL_DIR": "/spool",
            "RESTORE_POLL_INTERVAL": "1",
            "RESTORE_HEALTH_TIMEOUT": "60",
            "RESTORE_STOP_TIMEOUT": "3",
            "RESTORE_KEEP_PREVIOUS": "1",
            "RESTORE_LOADER_WAIT": "90",
        }

    def start(self) -> None:
        """Start the server and the container."""
        self.docker("network", "create", "--internal", "--label", self.label, self.network)
        self.docker(
            "run", "-d", "--name", self.server, "--label", self.label, "--network", self.network,
            "--network-alias", "database", "--tmpfs", "/tmp", "--memory", "1g", "--shm-size", "64m",
            "--tmpfs", "/var/lib/postgresql:uid=10003,gid=10003", "--tmpfs", "/run/postgresql:uid=10003,gid=10003",
            self.database_image,
        )  # fmt: skip
        until(self.answers, "PostgreSQL", 60)
        for role in ("owner", "app_a", "tests"):
            self.psql("postgres", f"CREATE ROLE {role} LOGIN PASSWORD {quoted(PASSWORDS[role])}")
        self.psql("postgres", "ALTER ROLE tests SUPERUSER; CREATE ROLE app NOLOGIN; GRANT app TO app_a")
        self.psql(
            "postgres", "REVOKE ALL ON DATABASE postgres FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO owner"
        )
        self.psql("postgres", ";".join(roles.statements("owner")))
        for role in ("restore_admin", "restore_loader"):
            self.psql("postgres", f"ALTER ROLE {role} PASSWORD {quoted(PASSWORDS[role])}")
        self.docker(
            "run", "-d", "--name", self.name, "--label", self.label, "--init", "--network", self.network,
            "--user", f"{COORDINATOR}:{GROUP}", "--cap-drop", "ALL", "--cap-add", "SETUID", "--cap-add", "SETGID",
            "--cap-add", "KILL", "--tmpfs", "/tmp", "--tmpfs", f"/small:size=1m,uid={COORDINATOR},gid={GROUP}",
            "-v", f"{self.root}/restore:/restore", "-v", f"{self.root}/spool:/spool", "-v", f"{self.root}/board:/board",
            "-v", f"{self.root}/files:/run/files:ro", "-v", f"{ROOT}/backup/backup:/app/backup:ro",
            "-v", f"{ROOT}/backup/restore:/app/restore:ro", "-v", f"{HERE}:/tests:ro", self.image, "sleep", "infinity",
        )  # fmt: skip

    def answers(self) -> bool:
        """Whether the server takes connections over TCP."""
        done = subprocess.run(
            ["docker", "exec", self.server, "pg_isready", "-q", "-h", "127.0.0.1"], capture_output=True, check=False
        )
        return done.returncode == 0

    def psql(self, database: str, statement: str) -> str:
        """Run statements as the superuser, over the socket."""
        done = subprocess.run(
            ["docker", "exec", "-i", self.server, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database],
            input=statement, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{statement[:200]}: {done.stderr}"
        return done.stdout.strip()

    @property
    def address(self) -> str:
        """The server's address."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return self.docker("inspect", "-f", template, self.server)

    @contextlib.contextmanager
    def session(self, database: str = "postgres", role: str = "tests") -> Iterator[psycopg.Connection[Any]]:
        """A session from here."""
        with psycopg.connect(
            host=self.address, user=role, password=PASSWORDS[role], dbname=database, autocommit=True, connect_timeout=5
        ) as session:
            yield session

    def sql(self, statement: str, database: str = "postgres") -> Any:
        """The first value of what a statement returns."""
        with self.session(database) as session:
            cursor = session.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def migrate(self, database: str, revision: str = "head") -> None:
        """Give a database the app's schema."""
        url = make_url(self.url("owner", database)).set(host=self.address).render_as_string(hide_password=False)
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "scaffold:create_app", "db", "upgrade", revision],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "app"), "SQLALCHEMY_DATABASE_URI": url,
                 "ENVIRONMENT": "production", "RELEASE": "r1", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def make(self, name: str, word: str, revision: str = "head") -> None:
        """Make a database as the project does, with the app's schema and a word to know it by."""
        self.psql("postgres", f"CREATE DATABASE {name} OWNER owner TEMPLATE template0")
        self.psql(
            "postgres",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO app; "
            f"ALTER DATABASE {name} SET work_mem = '5MB'",
        )
        self.psql(
            name,
            "ALTER SCHEMA public OWNER TO owner; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public "
            "TO app; ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON "
            "TABLES TO app; ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT SELECT, USAGE ON SEQUENCES "
            "TO app",
        )
        self.migrate(name, revision)
        self.psql(
            name,
            f"SET ROLE owner; CREATE TABLE marker (word text PRIMARY KEY); INSERT INTO marker VALUES ('{word}'); "
            f"CREATE TABLE goods AS SELECT i, md5(i::text || '{word}') AS name FROM generate_series(1, 500) i;",
        )

    def dump(self, database: str, name: str) -> Path:
        """Dump a database with PostgreSQL's own program, and return the file."""
        path = self.root / "files" / name
        with path.open("wb") as file:
            done = subprocess.run(
                ["docker", "exec", self.server, "pg_dump", "-Fc", "-d", database], stdout=file, check=True, timeout=120
            )
        assert done.returncode == 0
        return path

    def put(self, path: Path, name: str | None = None) -> Path:
        """Put a file into the queue, whole and at once."""
        new = self.incoming / f".{uuid.uuid4().hex}"
        shutil.copyfile(path, new)
        os.chown(new, COORDINATOR, GROUP)
        new.chmod(0o640)
        placed = self.incoming / (name or path.name)
        new.rename(placed)
        return placed

    def background(self, user: int, *command: str, **environ: str) -> None:
        """Start something in the container that goes on."""
        settings = {**compiled(user), **environ}
        given = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
        self.docker("exec", "-d", "-u", f"{user}:{GROUP}", *given, self.name, "python", *command)

    def units(self, **commands: list[str]) -> None:
        """Write what the board knows."""
        found = {
            name: {"command": command, "labels": {"scaffold.service": name.partition("-")[0]}}
            for name, command in commands.items()
        }
        (self.root / "board/units.json").write_text(json.dumps(found))

    def faults(self, **found: object) -> None:
        """Say what goes wrong at the board."""
        (self.root / "board/faults.json").write_text(json.dumps(found))

    def command(self, *arguments: str, **environ: str) -> list[str]:
        """The command that runs the service in the container; an empty value takes a setting away."""
        settings = {**self.environ, **environ}
        given = [word for name, value in settings.items() if value for word in ("-e", f"{name}={value}")]
        given += [word for name, value in compiled(COORDINATOR).items() for word in ("-e", f"{name}={value}")]
        return ["docker", "exec", *given, self.name, "python", "-m", "restore", *arguments]

    def run(self, *arguments: str, **environ: str) -> Done:
        """Run the service to its end."""
        done = subprocess.run(
            self.command(*arguments, **environ), capture_output=True, text=True, timeout=240, check=False
        )
        return Done(done.returncode, done.stdout + done.stderr)

    def drain(self, **environ: str) -> Done:
        """Run the coordinator until the queue is empty."""
        return self.run("watch", "--once", **environ)

    def processes(self, *words: str) -> list[tuple[int, str]]:
        """The container's processes with these words in their command lines: the host's number, and the state."""
        rows = self.docker("top", self.name, "-eo", "pid,stat,args").splitlines()[1:]
        split = [row.split(None, 2) for row in rows]
        return [(int(pid), state) for pid, state, args in split if all(word in args for word in words)]

    def stopped(self) -> bool:
        """Whether the coordinator has stopped at a point."""
        return any("T" in state for _, state in self.processes("-m restore watch"))

    def go_on(self) -> None:
        """Let it go on."""
        for pid, _ in self.processes("-m restore watch"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        """Tell the coordinator to end."""
        for pid, _ in self.processes("-m restore watch"):
            os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the coordinator."""
        for pid, _ in self.processes("-m restore watch"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def crash(self) -> None:
        """Kill one of the server's processes, upon which it ends all sessions and recovers as after a power cut."""
        rows = self.docker("top", self.server, "-eo", "pid,args").splitlines()[1:]
        for row in rows:
            pid, _, args = row.strip().partition(" ")
            if "checkpointer" in args:
                os.kill(int(pid), signal.SIGKILL)

    def state(self) -> dict[str, Any]:
        """What the state file says."""
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.root / "restore/state.json").read_bytes())
            return found
        return {"status": ""}

    def receipts(self) -> list[dict[str, Any]]:
        """The receipts, newest first."""
        paths = sorted((self.root / "restore/receipts").glob("*.json"), reverse=True)
        return [json.loads(path.read_bytes()) for path in paths]

    def databases(self) -> dict[str, tuple[int, bool]]:
        """The server's databases that are not its own: number, and whether they let anybody in."""
        with self.session() as session:
            rows = session.execute(
                "SELECT datname, oid::bigint, datallowconn FROM pg_database WHERE datname LIKE 'scaffold%'"
            ).fetchall()
        return {row[0]: (row[1], row[2]) for row in rows}

    def content(self, database: str = LIVE) -> str:
        """A hash of what is in a database, whether or not it lets anybody in."""
        if self.databases()[database][1]:
            with self.session(database) as session:
                return content(session)
        copied = f"probe_{uuid.uuid4().hex[:8]}"
        with self.session() as server:
            server.execute(f'CREATE DATABASE {copied} TEMPLATE "{database}"'.encode())
            try:
                with self.session(copied) as session:
                    return content(session)
            finally:
                server.execute(f"DROP DATABASE {copied} WITH (FORCE)".encode())

    def seen(self) -> dict[str, Any]:
        """What the app saw last."""
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.root / "board/web-1.seen").read_bytes())
            return found
        return {"at": 0.0, "word": None}

    def alive(self, word: str | None = None) -> None:
        """Wait until the app gets an answer that it has not got yet, from the database that has the word."""
        since = time.time()

        def answered() -> bool:
            seen = self.seen()
            return float(seen["at"]) > since and word in (None, seen["word"])

        until(answered, f"answer to the app from {word or 'any database'}")

    def asked(self) -> list[str]:
        """What the board was asked to do, looks apart."""
        path = self.root / "board/asked.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not line.startswith("GET")]

    def leftovers(self) -> list[str]:
        """What a job that has ended must not leave: in the spool, among the jobs, and among the databases."""
        folders = [self.root / "spool", self.root / "restore/processing", self.incoming]
        found = [str(path) for folder in folders for path in folder.iterdir()]
        return found + [name for name in self.databases() if "__r_" in name]

    def remove(self) -> None:
        """Remove all of it."""
        for name in (self.name, self.server):
            self.docker("rm", "-fv", name, check=False)
        self.docker("network", "rm", self.network, check=False)


def compiled(user: int) -> dict[str, str]:
    """What lets Python keep what it has compiled, as the image forbids: a start costs half of it otherwise."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"/tmp/{user}"}


def content(session: psycopg.Connection[Any]) -> str:
    """A hash of a database's tables, but for what a restore does not bring back."""
    cursor = psycopg.ClientCursor(session)
    tables = [
        row[0]
        for row in cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
        ).fetchall()
    ]
    found = hashlib.sha256()
    for table in tables:
        if table not in SECURITY:
            rows = cursor.execute(f'SELECT t::text FROM public."{table}" t ORDER BY 1'.encode()).fetchall()
            found.update(repr((table, rows)).encode())
    return found.hexdigest()


def quoted(text: str) -> str:
    """A literal for psql."""
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="package")
def stage(
    docker: Docker, database_image: str, run_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """The stage, with live data of yesterday, and dumps of it and of today's."""
    root = tmp_path_factory.mktemp("restore")
    ours = Stage(docker, database_image, build("backup"), run_id, root)
    try:
        ours.start()
        ours.make(LIVE, "old")
        for day in ("today", "yesterday"):
            ours.psql("postgres", f"CREATE DATABASE scaffold_{day} OWNER owner TEMPLATE {LIVE}")
        ours.psql("scaffold_today", "UPDATE marker SET word = 'new'; UPDATE goods SET name = md5(name || 'new')")
        ours.dump(LIVE, "old.dump")
        ours.dump("scaffold_today", "new.dump")
        ours.contents = {"old": ours.content(), "new": ours.content("scaffold_today")}
        ours.units(
            **{"web-1": ["python", "/tests/visitor.py", ours.url("app_a").replace("+psycopg", ""), "/board/web-1.seen"]}
        )
        ours.background(COORDINATOR, "/tests/board.py", "/board")
        ours.background(LOADER, "-m", "restore", "loader", RESTORE_LOADER_URL=ours.url("restore_loader"))
        ours.alive("old")
        yield ours
    finally:
        ours.remove()
