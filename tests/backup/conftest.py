"""A database with data that hurts, and a container in which backups of it are made."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.database.conftest import Database, roles_document

HERE = Path(__file__).parent
USER = 10004
OF_ALL = (".last.json", ".lock", ".state.json")
PASSWORD = "a@b:c/d%e'f\\g ä#?"
Docker = Callable[..., str]


def pem(key: Ed25519PrivateKey) -> bytes:
    """A private key as a file has it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def running(*words: str) -> list[int]:
    """The numbers of this machine's processes whose command lines have all these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if all(word in text for word in words):
                found.append(int(path.parent.name))
    return found


class Done:
    """What a command of the program came to."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.text.splitlines() if line.startswith('{"')]

    @property
    def errors(self) -> str:
        """What it says of errors, in one text."""
        return "\n".join(str(line["event"]) for line in self.lines if line["level"] == "error")

    @property
    def made(self) -> str:
        """The name of the backup that was made."""
        return next(str(line["id"]) for line in self.lines if line["event"].startswith("backup made"))


class Stage:
    """The container that makes backups; each test has a folder of its own in it."""

    def __init__(self, docker: Docker, image: str, database: Database, network: str, root: Path) -> None:
        self.docker = docker
        self.image = image
        self.database = database
        self.network = network
        self.root = root
        self.name = f"{database.name}-backup"
        self.signing = Ed25519PrivateKey.generate()
        for folder in ("backups", "work", "files"):
            (root / folder).mkdir()
            os.chown(root / folder, USER, USER)
        self.file("signing-key.pem", pem(self.signing))

    def file(self, name: str, content: bytes) -> str:
        """Put a file where the container reads it, and return its path there."""
        path = self.root / "files" / name
        path.write_bytes(content)
        os.chown(path, USER, USER)
        path.chmod(0o400)
        return f"/run/files/{name}"

    def start(self) -> None:
        """Start the container, as hardened as in production."""
        self.docker(
            "run", "-d", "--name", self.name, "--label", self.database.label, "--init", "--read-only",
            "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", f"{USER}:{USER}",
            "--tmpfs", "/tmp:rw,noexec,nosuid,size=16m", "--network", self.network, "--memory", "2g",
            "--shm-size", "1m", "--tmpfs", f"/small:rw,size=4m,uid={USER},gid={USER}",
            "-v", f"{self.root}/backups:/backups", "-v", f"{self.root}/work:/var/lib/backup",
            "-v", f"{self.root}/files:/run/files:ro", self.image, "sleep", "infinity",
        )  # fmt: skip

    def stop(self) -> None:
        """Take the container away."""
        self.docker("rm", "-fv", self.name, check=False)

    def url(self, database: str, user: str = "backup_ro", password: str = PASSWORD) -> str:
        """The URL of a database as SQLAlchemy has it."""
        return f"postgresql+psycopg://{user}:{quote(password, safe='')}@database:5432/{quote(database, safe='')}"

    def sql(self, statement: str, database: str) -> str:
        """Run statements as the superuser."""
        return self.docker(
            "exec", self.database.name, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement,
            timeout=300,
        )  # fmt: skip

    def programs(self) -> list[tuple[int, str]]:
        """The processes in the container, by the host's numbers, but for its first."""
        rows = self.docker("top", self.name, "-eo", "pid,args").splitlines()[1:]
        split = (row.strip().partition(" ") for row in rows)
        return [(int(pid), line) for pid, _, line in split if "sleep infinity" not in line]

    def kill(self, name: str = "KILL") -> None:
        """Send a signal to the program."""
        for pid, line in self.programs():
            if "-m backup" in line:
                os.kill(pid, signal.Signals[f"SIG{name}"])

    def make_database(self, name: str, statements: str, options: str = "") -> None:
        """Make a database of the owner's that backup_ro may connect to, and fill it."""
        self.sql(f'CREATE DATABASE "{name}" OWNER owner TEMPLATE template0 {options}', "postgres")
        done = subprocess.run(
            ["docker", "exec", "-i", self.database.name, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", name],
            input=statements, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


class Desk:
    """The program with a folder of its own, on one database."""

    def __init__(self, stage: Stage, database: str, folder: str) -> None:
        self.stage = stage
        self.folder = stage.root / "backups" / folder
        self.folder.mkdir()
        os.chown(self.folder, USER, USER)
        self.environ = {
            "BACKUP_DIR": f"/backups/{folder}",
            "BACKUP_WORK_DIR": f"/var/lib/backup/{folder}",
            "BACKUP_SIGNING_KEY_FILE": "/run/files/signing-key.pem",
            "DATABASE_URL_FILE": stage.file(f"url-{folder}", stage.url(database).encode()),
        }

    def command(self, *arguments: str, **environ: str) -> list[str]:
        """The command that runs the program in the container; an empty value takes a setting away."""
        settings = {**self.environ, **environ}
        given = [word for name, value in settings.items() if value for word in ("-e", f"{name}={value}")]
        return ["docker", "exec", *given, self.stage.name, "python", "-m", "backup", *arguments]

    def run(self, *arguments: str, **environ: str) -> Done:
        """Run the program to its end."""
        done = subprocess.run(
            self.command(*arguments, **environ), capture_output=True, text=True, timeout=240, check=False
        )
        return Done(done.returncode, done.stdout + done.stderr)

    def make(self, **environ: str) -> str:
        """Make a backup and return its name."""
        done = self.run("run", **environ)
        assert done.status == 0, done.text
        return done.made

    def give(self, other: Desk) -> str:
        """Put the one backup of another desk into this one's folder, with what is told of it, and return its name."""
        shutil.copytree(other.folder, self.folder, dirs_exist_ok=True)
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, USER, USER)
        (made,) = self.names()
        return made

    def listed(self) -> list[dict[str, Any]]:
        """The backups, newest first."""
        done = self.run("list", "--json")
        assert done.status == 0, done.text
        found: list[dict[str, Any]] = json.loads(done.text)
        return found

    def good(self) -> list[str]:
        """The names of the backups that count."""
        return [item["id"] for item in self.listed() if item["good"]]

    def names(self) -> list[str]:
        """What is in the folder besides the lock and what is told of all."""
        return sorted(path.name for path in self.folder.iterdir() if path.name not in OF_ALL)


@pytest.fixture(scope="package")
def stage(
    docker: Docker, database_image: str, backup_image: str, run_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A database server and a container beside it."""
    root = tmp_path_factory.mktemp("backup")
    database = Database(docker, database_image, run_id, root)
    network = f"{database.name}-network"
    docker("network", "create", "--internal", "--label", database.label, network)
    database.create("--network", network, "--network-alias", "database", "--memory", "3g")
    database.wait_ready()
    database.roles(roles_document(backup_ro=PASSWORD))
    ours = Stage(docker, backup_image, database, network, root)
    ours.sql(
        """CREATE ROLE "Odd; Röle"; ALTER ROLE backup_ro SET datestyle = 'German';
        ALTER ROLE backup_ro SET extra_float_digits = -3""",
        "postgres",
    )
    ours.start()
    yield ours
    ours.stop()
    database.remove()


@pytest.fixture(scope="package")
def painful(stage: Stage) -> str:
    """The name of the database with data that hurts."""
    stage.make_database("pain", (HERE / "pain.sql").read_text(encoding="utf-8"))
    return "pain"


@pytest.fixture(scope="package")
def small(stage: Stage) -> str:
    """The name of a database that is quickly backed up."""
    stage.make_database("small", "CREATE TABLE t AS SELECT i, md5(i::text) AS word FROM generate_series(1, 2000) i;")
    return "small"


@pytest.fixture(scope="package")
def latin(stage: Stage) -> str:
    """The name of a database in Latin-1."""
    statements = (HERE / "latin.sql").read_text(encoding="utf-8")
    stage.make_database("Latin; -- 1", statements, "ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'")
    return "Latin; -- 1"


@pytest.fixture
def desk(stage: Stage, small: str) -> Desk:
    """The program on the small database."""
    return Desk(stage, small, uuid.uuid4().hex[:8])


@pytest.fixture
def on(stage: Stage) -> Callable[[str], Desk]:
    """The program on a database of that name."""
    return lambda database: Desk(stage, database, uuid.uuid4().hex[:8])


@pytest.fixture(scope="package")
def keys(stage: Stage) -> dict[str, dict[str, str]]:
    """Two recipients and a stranger, each with its public key and the path of its secret one."""
    found = {}
    for name in ("ours", "theirs", "strangers"):
        secret = stage.docker("exec", stage.name, "age-keygen")
        public = next(line.split()[-1] for line in secret.splitlines() if "public key" in line)
        found[name] = {"public": public, "path": stage.file(f"{name}.age-key", secret.encode())}
    return found


@pytest.fixture(scope="package")
def made_once(stage: Stage, small: str) -> Desk:
    """A folder with one backup."""
    desk = Desk(stage, small, uuid.uuid4().hex[:8])
    desk.make()
    return desk


@pytest.fixture(scope="package")
def sealed_once(stage: Stage, small: str, keys: dict[str, dict[str, str]]) -> Desk:
    """A folder with one backup that is encrypted to two recipients."""
    desk = Desk(stage, small, uuid.uuid4().hex[:8])
    desk.environ["BACKUP_AGE_RECIPIENTS"] = f"{keys['ours']['public']}, {keys['theirs']['public']}"
    desk.make()
    return desk


@pytest.fixture
def given(desk: Desk, made_once: Desk) -> Callable[[], str]:
    """Puts a backup that is there already into a test's own folder, which takes no time, and returns its name."""
    return lambda: desk.give(made_once)


@pytest.fixture
def sealed(desk: Desk, sealed_once: Desk) -> Desk:
    """A folder with one backup, in which they are encrypted to two recipients."""
    desk.environ["BACKUP_AGE_RECIPIENTS"] = sealed_once.environ["BACKUP_AGE_RECIPIENTS"]
    desk.give(sealed_once)
    return desk
