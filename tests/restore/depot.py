"""A database server, the loader in a container beside it, and the spool between them and the tests."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from backup import sql
from restore import scratch
from tests.database.conftest import Database

COORDINATOR, LOADER = 10005, 10006
PASSWORD = "p@ss:word/%'\\ä"
ADMIN, OWNER = "restore_admin", "owner"
Docker = Callable[..., str]


class Depot:
    """The loader's container, as hardened as in production; the tests play the coordinator."""

    def __init__(self, docker: Docker, image: str, database: Database, network: str, root: Path) -> None:
        self.docker = docker
        self.image = image
        self.database = database
        self.network = network
        self.root = root
        self.name = f"{database.name}-loader"
        self.spool = root / "spool"
        self.files = root / "files"
        for folder in (self.spool, self.files):
            folder.mkdir()
            os.chown(folder, COORDINATOR, COORDINATOR)
        self.spool.chmod(0o2770)
        url = self.files / "loader-url"
        url.write_text(f"postgresql://{scratch.LOADER}:{quote(PASSWORD, safe='')}@database:5432/ignored", "utf-8")
        os.chown(url, LOADER, LOADER)
        url.chmod(0o400)

    def start(self, *options: str) -> None:
        """Start the loader."""
        self.docker(
            "run", "-d", "--name", self.name, "--label", self.database.label, "--init", "--read-only",
            "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", f"{LOADER}:{LOADER}",
            "--group-add", str(COORDINATOR), "--tmpfs", "/tmp:rw,noexec,nosuid,size=16m", "--network", self.network,
            "--memory", "1g", "-v", f"{self.spool}:/spool", "-v", f"{self.files}:/run/files:ro",
            "-e", "RESTORE_LOADER_URL_FILE=/run/files/loader-url", *options, self.image,
            "python", "-m", "restore", "loader",
        )  # fmt: skip

    def stop(self) -> None:
        """Take the loader away."""
        self.docker("rm", "-fv", self.name, check=False)

    def log(self) -> str:
        """What the loader has said."""
        done = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, timeout=30, check=False)
        return done.stdout + done.stderr

    def processes(self) -> list[tuple[int, str]]:
        """The loader's processes by the host's numbers."""
        rows = self.docker("top", self.name, "-eo", "pid,args").splitlines()[1:]
        return [(int(pid), line) for pid, _, line in (row.strip().partition(" ") for row in rows)]

    def run(self, statements: Sequence[str] | str, database: str = "postgres", user: str = "") -> str:
        """Run statements as the superuser, or with the rights of another role, and return what they print."""
        lines = [statements] if isinstance(statements, str) else list(statements)
        first = [f"SET SESSION AUTHORIZATION {sql.name(user)}"] if user else []
        done = subprocess.run(
            ["docker", "exec", "-i", self.database.name, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database],
            input=";\n".join([*first, *lines]) + ";\n", capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def dump(self, database: str, *options: str) -> bytes:
        """Dump a database with pg_dump."""
        command = ["docker", "exec", self.database.name, "pg_dump", *options, database]
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def scratch(self, *extensions: tuple[str, str]) -> str:
        """Make a scratch database as the coordinator does, with no rights but those of its role."""
        name = f"app__r_{secrets.token_hex(6)}"
        create = f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE template0"
        self.run([create, *scratch.opened(name)], user=ADMIN)
        self.run(scratch.prepared(extensions), name, ADMIN)
        return name

    def drop(self, name: str) -> None:
        """Drop a database."""
        self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def job(self, content: bytes, kind: str) -> Job:
        """Put a file into the spool, as a job of its own."""
        return Job(self, content, kind)


class Job:
    """One file in the spool."""

    def __init__(self, depot: Depot, content: bytes, kind: str) -> None:
        self.depot = depot
        self.kind = kind
        self.seq = 0
        self.folder = depot.spool / secrets.token_hex(8)
        self.folder.mkdir()
        file = self.folder / "file"
        file.write_bytes(content)
        file.chmod(0o640)
        for path in (self.folder, file):
            os.chown(path, COORDINATOR, COORDINATOR)
        self.folder.chmod(0o2770)

    def request(self, verb: str, **more: object) -> None:
        """Ask for something."""
        self.seq += 1
        document = {"seq": self.seq, "verb": verb, "kind": self.kind, **more}
        new = self.folder / ".request.json.new"
        new.write_text(json.dumps(document), encoding="ascii")
        os.chown(new, COORDINATOR, COORDINATOR)
        new.chmod(0o640)
        new.rename(self.folder / "request.json")

    def answer(self, seconds: float = 120) -> dict[str, Any]:
        """Wait for the answer to what was asked last."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found: dict[str, Any] = json.loads((self.folder / "answer.json").read_bytes())
            except FileNotFoundError:
                found = {}
            if found.get("seq") == self.seq:
                return found
            assert time.monotonic() < deadline, f"no answer within {seconds} s: {self.depot.log()[-2000:]}"
            time.sleep(0.03)

    def ask(self, verb: str, **more: object) -> dict[str, Any]:
        """Ask for something and return the answer."""
        self.request(verb, **more)
        return self.answer()

    def done(self, verb: str, **more: object) -> dict[str, Any]:
        """Ask for something that succeeds."""
        found = self.ask(verb, **more)
        assert found["ok"], found
        return found
