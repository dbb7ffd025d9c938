"""A database container run as in production, and one that the quicker tests share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Docker = Callable[..., str]
PASSWORDS = {
    "owner": "own:er'p@ss/%\\word",
    "app_a": "a-passwort-mit-ä-und-Ⅷ",
    "app_b": "b b b",
    "backup_ro": "reads'all",
    "restore_admin": "swaps",
    "restore_loader": "loads",
}


def roles_document(**passwords: str) -> dict[str, Any]:
    """Return roles.json with the tests' passwords, or others."""
    known = {**PASSWORDS, **passwords}
    return {
        "database": "scaffold",
        "owner": {"name": "owner", "password": known["owner"]},
        "app": [{"name": name, "password": known[name]} for name in ("app_a", "app_b")],
        "backup": {"name": "backup_ro", "password": known["backup_ro"]},
        "restore": {
            part: {"name": f"restore_{part}", "password": known[f"restore_{part}"]} for part in ("admin", "loader")
        },
    }


class Database:
    """One database with volumes of its own, whose containers can be started and killed."""

    def __init__(self, docker: Docker, image: str, run_id: str, folder: Path) -> None:
        self.docker = docker
        self.image = image
        self.label = f"scaffold.test={run_id}"
        self.name = f"scaffold-test-database-{uuid.uuid4().hex[:10]}"
        self.folder = folder
        for volume in (self.data, self.sockets):
            docker("volume", "create", "--label", self.label, volume)

    @property
    def data(self) -> str:
        return f"{self.name}-data"

    @property
    def sockets(self) -> str:
        return f"{self.name}-sockets"

    def hardened(self, *options: str) -> list[str]:
        """The options every container of this image gets in production."""
        return [
            "--label", self.label, "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--user", "10003:10003", "--tmpfs", "/tmp:rw,noexec,nosuid,size=16m", *options,
        ]  # fmt: skip

    def create(self, *options: str, name: str | None = None) -> str:
        """Start a server's container and return its name; /dev/shm is kept far below what parallel queries share."""
        return self.start_named(name or self.name, *options)

    def start_named(self, name: str, *options: str) -> str:
        self.docker(
            "run", "-d", "--name", name, *self.hardened("--memory", "512m", "--shm-size", "1m"),
            "-v", f"{self.data}:/var/lib/postgresql", "-v", f"{self.sockets}:/run/postgresql", *options, self.image,
        )  # fmt: skip
        return name

    def in_volume(self, script: str) -> str:
        """Run a shell script beside the volumes."""
        return self.docker(
            "run", "--rm", *self.hardened("--network", "none"),
            "-v", f"{self.data}:/var/lib/postgresql", "-v", f"{self.sockets}:/run/postgresql",
            self.image, "sh", "-c", script,
        )  # fmt: skip

    def state(self, field: str, name: str | None = None) -> str:
        return self.docker("inspect", "-f", f"{{{{.State.{field}}}}}", name or self.name)

    def lines(self, name: str | None = None) -> list[dict[str, Any]]:
        """Every line that the container has printed; a line that is not JSON fails the test."""
        done = subprocess.run(
            ["docker", "logs", name or self.name], capture_output=True, text=True, timeout=30, check=True
        )
        return [json.loads(text) for text in (done.stdout + done.stderr).splitlines()]

    def messages(self, name: str | None = None) -> list[str]:
        return [str(item["event"]) for item in self.lines(name)]

    def wait_for(self, message: str, *, times: int = 1, seconds: float = 30, name: str | None = None) -> None:
        """Wait until messages with this text were printed so many times."""

        def there() -> bool:
            return sum(message in text for text in self.messages(name)) >= times

        self.until(there, f"{message!r} in the log", seconds, name)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 30, name: str | None = None) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"no {what} within {seconds} s; the log: {self.messages(name)[-15:]}"
            time.sleep(0.03)

    def healthy(self, name: str | None = None) -> bool:
        done = subprocess.run(["docker", "exec", name or self.name, "probe-database"], capture_output=True, timeout=30)
        return done.returncode == 0

    def wait_ready(self, name: str | None = None) -> None:
        self.wait_for("ready to accept connections", name=name)

    def ended(self, name: str | None = None, seconds: float = 30) -> int:
        """Wait for the container's end and return its exit status."""
        self.until(lambda: self.state("Status", name) == "exited", "end of the container", seconds, name)
        return int(self.state("ExitCode", name))

    def kill_host_process(self, pid: int) -> None:
        """Kill as the kernel would: `docker kill` would also suspend the restart policy."""
        assert pid > 1, f"the container does not run; the log: {self.messages()}"
        os.kill(pid, signal.SIGKILL)

    def pid_one(self) -> int:
        return int(self.state("Pid"))

    def postmaster(self) -> int:
        """The host's process number of the server."""
        rows = self.docker("top", self.name, "-eo", "pid,args").splitlines()
        return next(int(row.split()[0]) for row in rows if "bin/postgres -D" in row)

    def sql(self, statement: str, database: str = "scaffold") -> str:
        """Run a statement as the superuser, over the socket."""
        return self.docker("exec", self.name, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement)

    def over_tcp(
        self, user: str, password: str, statement: str, database: str = "scaffold"
    ) -> subprocess.CompletedProcess[str]:
        """Run a statement as another role, over TCP."""
        return subprocess.run(
            ["docker", "exec", "-e", f"PGPASSWORD={password}", self.name, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1",
             "-h", "127.0.0.1", "-U", user, "-d", database, "-c", statement],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def roles(self, document: object, *, succeeds: bool = True, options: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """Run the roles job with this document and return its lines."""
        path = self.folder / f"roles-{uuid.uuid4().hex}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        path.chmod(0o444)
        done = subprocess.run(
            ["docker", "run", "--rm", *self.hardened("--network", "none"), "-v", f"{self.sockets}:/run/postgresql",
             "-v", f"{path}:/run/files/roles.json:ro", *options, self.image, "python3", "-m", "server", "roles"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
        assert done.stderr == ""
        return [json.loads(text) for text in done.stdout.splitlines()]

    def check(self, owner_url: str, app_url: str) -> tuple[int, list[dict[str, Any]]]:
        """Run the check and return its exit status and its lines."""
        done = subprocess.run(
            ["docker", "exec", "-e", f"DATABASE_URL={owner_url}", "-e", f"APP_DATABASE_URL={app_url}", self.name,
             "python3", "-m", "server", "check"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        return done.returncode, [json.loads(text) for text in done.stdout.splitlines()]

    def remove(self) -> None:
        rows = self.docker("ps", "-aq", "--filter", f"volume={self.data}", check=False).split()
        if rows:
            self.docker("rm", "-fv", *rows, check=False)
        self.docker("volume", "rm", "-f", self.data, self.sockets, check=False)


@pytest.fixture
def database(docker: Docker, database_image: str, run_id: str, tmp_path: Path) -> Iterator[Database]:
    """A database of the test's own, not started yet."""
    mine = Database(docker, database_image, run_id, tmp_path)
    yield mine
    mine.remove()


@pytest.fixture(scope="package")
def shared(
    docker: Docker, database_image: str, run_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A running database with its roles, for tests that leave it as they found it."""
    ours = Database(docker, database_image, run_id, tmp_path_factory.mktemp("database"))
    ours.create()
    ours.wait_ready()
    ours.roles(roles_document())
    yield ours
    ours.remove()


@pytest.fixture(scope="session")
def document() -> Callable[..., dict[str, Any]]:
    """Makes roles.json."""
    return roles_document


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    """The passwords in it."""
    return PASSWORDS
