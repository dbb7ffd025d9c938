"""The app with SQLite for quick tests, and the image run as in production beside the project's own PostgreSQL."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from scaffold import create_app, hashing, schema
from scaffold.database import db
from scaffold.settings import Settings, load
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tests.app.prometheus import programs
from tests.app.runner import Runner
from tests.conftest import ROOT, until

Docker = Callable[..., str]
(HEAD,) = schema.heads()
SECRET_KEY = "k3y-0f-tests-abcdefghijklmnopqrstuvwxyz"
PASSWORDS = {"owner": "0wner-s3cret", "app_a": "app-s3cret", "tests": "t3sts-s3cret"}
HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--user", "10001:10001", "--tmpfs", "/tmp:rw,noexec,nosuid,size=16m", "--memory", "384m",
)  # fmt: skip
VERSIONS = "/app/migrations/versions"
# The environment that the image gives to what runs in it.
PLAIN = {"PATH": "/app/venv/bin:/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": "/app", "LANG": "C.UTF-8"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Production's settings, but for a SQLite database."""
    known = load({"ENVIRONMENT": "development", "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/app.db"})
    return replace(
        known,
        environment="production",
        site_url="https://www.example.org",
        release="r7",
        secret_key=SECRET_KEY,
        maintenance_page_file=tmp_path / "maintenance.html",
    )


@contextmanager
def running(settings: Settings) -> Iterator[Flask]:
    """Make the app, and let go of its connections at the end."""
    app = create_app(settings)
    try:
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()
        app.extensions["readiness"].engine.dispose()
        app.extensions["audit_engine"].dispose()


def make_schema(app: Flask) -> None:
    """Make the tables and say that the schema is at this image's newest revision."""
    with app.app_context():
        db.create_all()
        db.session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        for head in schema.heads():
            db.session.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": head})
        db.session.commit()


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The app, with a database that is ready."""
    settings.maintenance_page_file.write_text(
        '<style>p { color: red }</style><p>Back soon: <!--# echo var="request_id" --></p>', encoding="utf-8"
    )
    with running(settings) as app:
        make_schema(app)
        yield app


@dataclass(frozen=True)
class Urls:
    """The two roles' ways into one database."""

    name: str
    owner: str
    app: str


class Postgres:
    """A server made of the project's database image, with a database for each test that wants one."""

    def __init__(self, docker: Docker, name: str, network: str) -> None:
        self.docker = docker
        self.name = name
        self.network = network

    def psql(self, database: str, sql: str) -> str:
        """Run SQL as a superuser, and return what psql would print of it."""
        printed = []
        try:
            with self.connect(database, "tests") as connection, connection.cursor() as cursor:
                cursor.execute(sql)
                more: bool | None = True
                while more:
                    printed += printed_of(cursor.pgresult)
                    more = cursor.nextset()
        except psycopg.Error as error:
            raise AssertionError(f"{sql}: {error}") from error
        return "\n".join(printed).strip()

    def psql_on_the_socket(self, *statements: str) -> None:
        """Run SQL as the one superuser that the image has, which nobody is over the network."""
        command = ["psql", "-h", "/run/postgresql", "-U", "postgres", "-d", "postgres", "-XAtq"]
        told = [word for statement in statements for word in ("-c", statement)]
        self.docker("exec", self.name, *command, "-v", "ON_ERROR_STOP=1", *told)

    @cached_property
    def address(self) -> str:
        """The server's address on its network."""
        return self.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.name)

    def connect(self, database: str, role: str, name: str = "somebody") -> psycopg.Connection[Any]:
        """Connect from this process; each statement is a transaction unless it begins one."""
        return psycopg.connect(
            host=self.address, dbname=database, user=role, password=PASSWORDS[role], application_name=name,
            autocommit=True, connect_timeout=10,
        )  # fmt: skip

    def answers(self) -> bool:
        """Tell whether the server takes TCP connections."""
        return self.docker("exec", self.name, "pg_isready", "-h", "127.0.0.1", check=False).endswith(
            "accepting connections"
        )

    def make_roles(self) -> None:
        """Make the roles as the database's own job does: the app's has no right to change the schema."""
        self.psql_on_the_socket(
            "CREATE ROLE app NOLOGIN",
            *(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'" for role, password in PASSWORDS.items()),
            "GRANT app TO app_a",
            "ALTER ROLE tests SUPERUSER",
        )

    def database(self) -> Urls:
        """Make an empty database and return the ways in."""
        name = f"t{uuid.uuid4().hex[:10]}"
        self.psql("postgres", f"CREATE DATABASE {name} OWNER owner")
        self.let_in(name)
        return self.urls(name)

    def copy(self, of: str) -> Urls:
        """Make a database that is a copy of another one, to which nobody is connected."""
        name = f"t{uuid.uuid4().hex[:10]}"
        self.psql("postgres", f"CREATE DATABASE {name} OWNER owner TEMPLATE {of}")
        return self.urls(name)

    def let_in(self, name: str) -> None:
        """Give the roles their rights in a database as the database's own job does."""
        self.psql(
            name,
            "ALTER SCHEMA public OWNER TO owner; REVOKE CREATE ON SCHEMA public FROM PUBLIC; "
            "GRANT USAGE ON SCHEMA public TO app; ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public "
            "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app; ALTER DEFAULT PRIVILEGES FOR ROLE owner "
            "IN SCHEMA public GRANT SELECT, USAGE ON SEQUENCES TO app",
        )

    def urls(self, name: str) -> Urls:
        """Return the ways into a database."""
        base = make_url("postgresql+psycopg://host/x").set(host=self.name, port=5432, database=name)
        owner, app = (
            base.set(username=role, password=PASSWORDS[role]).render_as_string(hide_password=False)
            for role in ("owner", "app_a")
        )
        return Urls(name, owner, app)


def printed_of(result: psycopg.pq.abc.PGresult | None) -> list[str]:
    """Return the rows of a result as psql prints them without alignment."""
    if result is None or result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        return []
    cells = range(result.nfields)
    rows = ([result.get_value(row, cell) or b"" for cell in cells] for row in range(result.ntuples))
    return [b"|".join(row).decode() for row in rows]


def start_postgres(docker: Docker, image: str, run_id: str, network: str) -> Postgres:
    """Start a server as in production and wait until it answers."""
    name = f"scaffold-test-app-db-{uuid.uuid4().hex[:8]}"
    docker(
        "run", "-d", "--name", name, "--label", f"scaffold.test={run_id}", "--network", network, "--memory", "512m",
        "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp",
        "--stop-timeout", "20", "-v", "/var/lib/postgresql", "-v", "/run/postgresql", image,
    )  # fmt: skip
    server = Postgres(docker, name, network)
    until(server.answers, "PostgreSQL", 60)
    server.make_roles()
    return server


@pytest.fixture(scope="session")
def network(docker: Docker, run_id: str) -> str:
    """An internal network, as the database's is."""
    name = f"scaffold-test-app-{uuid.uuid4().hex[:8]}"
    docker("network", "create", "--internal", "--label", f"scaffold.test={run_id}", name)
    return name


@pytest.fixture(scope="session")
def postgres(docker: Docker, database_image: str, run_id: str, network: str) -> Postgres:
    """The server that most tests share."""
    return start_postgres(docker, database_image, run_id, network)


@pytest.fixture
def own_postgres(docker: Docker, database_image: str, run_id: str, network: str) -> Postgres:
    """A server for one test, which may stop it."""
    return start_postgres(docker, database_image, run_id, network)


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The name of a database with the working tree's newest schema; tests copy it and leave it as it is."""
    urls = postgres.database()
    done = flask(postgres, urls.owner, "db", "upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    return urls.name


@cache
def runner() -> Runner:
    """What runs `flask` commands from the working tree."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "app"), "PYTHONDONTWRITEBYTECODE": "1"}
    return Runner([sys.executable, str(ROOT / "tests/app/runner.py")], environment)


def flask(postgres: Postgres, url: str, *command: str, said: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run `flask --app scaffold:create_app COMMAND` from the working tree on a database of the server."""
    here = make_url(url).set(host=postgres.address).render_as_string(hide_password=False)
    environment = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "production",
        "SQLALCHEMY_DATABASE_URI": here,
        **env,
    }
    return runner().run(["--app", "scaffold:create_app", *command], environment, said)


@pytest.fixture
def light_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make hashes of passwords cost next to nothing: what they are to cost is tested where they are made."""
    monkeypatch.setattr(hashing, "MEMORY_KIB", 64)


@pytest.fixture
def site(settings: Settings, postgres: Postgres, migrated: str, light_hashes: None) -> Iterator[Flask]:
    """The app of the working tree as in production, on a PostgreSQL database of its own with the app's own role."""
    urls = postgres.copy(migrated)
    url = make_url(urls.app).set(host=postgres.address)
    settings.maintenance_page_file.write_text("<p>Back soon</p>", encoding="utf-8")
    with running(replace(settings, database_url=url)) as app:
        app.extensions["urls"] = urls
        yield app


@pytest.fixture
def trial(settings: Settings, postgres: Postgres, migrated: str, light_hashes: None) -> Iterator[Flask]:
    """The app of a trial, where a setting lets passwords in."""
    urls = postgres.copy(migrated)
    url = make_url(urls.app).set(host=postgres.address)
    with running(replace(settings, database_url=url, environment="development", password_login_enabled=True)) as app:
        app.extensions["urls"] = urls
        yield app


def later(
    revision: str, follows: str, *, compatible: str = "True", up: str = "SELECT 1", down: str = "SELECT 1"
) -> str:
    """Return a migration's source that runs SQL; `compatible` is what is written after the equals sign."""
    return (
        "from alembic import op\n"
        f"revision = {revision!r}\ndown_revision = {follows!r}\nbranch_labels = None\ndepends_on = None\n"
        + (f"compatible = {compatible}\n" if compatible else "")
        + f"def upgrade():\n    op.execute({up!r})\ndef downgrade():\n    op.execute({down!r})\n"
    )


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


class Web:
    """The app's container."""

    def __init__(self, docker: Docker, name: str) -> None:
        self.docker = docker
        self.name = name

    @property
    def address(self) -> str:
        """The container's address on its network."""
        return self.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.name)

    @property
    def pid(self) -> int:
        """The process number, on this host, of the container's first process."""
        return int(self.docker("inspect", "-f", "{{.State.Pid}}", self.name))

    def ask(
        self, path: str, method: str = "GET", timeout: float = 10, body: str | None = None, **headers: str
    ) -> Answer:
        """Ask over a connection of its own; header names are written with underscores."""
        connection = http.client.HTTPConnection(self.address, 8000, timeout=timeout)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            response = connection.getresponse()
            text = response.read().decode()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
        finally:
            connection.close()

    def status(self, path: str) -> int:
        """Return the status, or 0 when nobody answers."""
        try:
            return self.ask(path, timeout=5).status
        except OSError:
            return 0

    def lines(self) -> list[dict[str, Any]]:
        """Every line that the container has printed; one that is not a JSON object fails the test."""
        return json_lines(self.docker, self.name)


def json_lines(docker: Docker, name: str) -> list[dict[str, Any]]:
    """Return a container's output, standard error included, as the JSON objects that its lines must be."""
    done = subprocess.run(["docker", "logs", name], capture_output=True, text=True, timeout=30, check=True)
    return as_objects(done.stdout + done.stderr)


def as_objects(printed: str) -> list[dict[str, Any]]:
    """Return lines of a log as the JSON objects that they must be."""
    found = [json.loads(line) for line in printed.splitlines()]
    assert all(isinstance(line, dict) and {"event", "level", "timestamp", "release"} <= line.keys() for line in found)
    return found


def later_name(revision: str) -> str:
    """Return the name of the file of a migration that a later image brings."""
    return f"{revision}_later.py"


class Image:
    """Runs the app's image with production's restrictions; `later` are migrations that it brings beside its own."""

    def __init__(self, docker: Docker, image: str, label: str, network: str, folder: Path) -> None:
        self.docker = docker
        self.image = image
        self.label = label
        self.network = network
        self.folder = folder
        self.later: Mapping[str, str] = {}
        self.jobs = Jobs(self)

    def file(self, content: str) -> str:
        """Return the path of a file with the content, which the app's user can read."""
        path = self.folder / uuid.uuid4().hex
        path.write_text(content, encoding="utf-8")
        path.chmod(0o444)
        return str(path)

    def options(self, files: Mapping[str, str]) -> list[str]:
        """Return `docker run`'s options for a container that has the contents of files at their paths."""
        mounts = [f"-v={self.file(content)}:{path}:ro" for path, content in files.items()]
        return ["--label", self.label, "--network", self.network, *HARDENED, *mounts]

    def start(
        self, *command: str, files: dict[str, str] | None = None, options: tuple[str, ...] = (), **env: str
    ) -> str:
        """Start a container and return its name; `files` maps names under /run/files to contents."""
        name = f"scaffold-test-app-{uuid.uuid4().hex[:10]}"
        mounted = {f"/run/files/{file}": content for file, content in (files or {}).items()}
        mounted |= {f"{VERSIONS}/{later_name(revision)}": source for revision, source in self.later.items()}
        told = [f"--env={key}={value}" for key, value in env.items()]
        self.docker("run", "-d", "--name", name, *self.options(mounted), *options, *told, self.image, *command)
        return name

    def web(self, urls: Urls, *, options: tuple[str, ...] = (), files: dict[str, str] | None = None, **env: str) -> Web:
        """Start the app as in production and wait until it serves."""
        given = {"secret-key": SECRET_KEY, "database-url": urls.app, **(files or {})}
        known = {
            "ENVIRONMENT": "production",
            "SITE_URL": "https://www.example.org",
            "RELEASE": "r7",
            "SECRET_KEY_FILE": "/run/files/secret-key",
            "SQLALCHEMY_DATABASE_URI_FILE": "/run/files/database-url",
        }
        web = Web(self.docker, self.start(files=given, options=options, **{**known, **env}))
        until(lambda: web.status("/healthz") == 200, "/healthz")
        return web

    def with_migrations(self, sources: Mapping[str, str]) -> Image:
        """Return a later image: this one with more migrations, by their revisions."""
        later = copy(self)
        later.later = {**self.later, **sources}
        return later

    def run(self, url: str, *command: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
        """Run `flask --app scaffold:create_app COMMAND` in a process of its own; return its exit code and its lines."""
        done = self.ran(url, *command, **env)
        return done.returncode, as_objects(done.stdout + done.stderr)

    def ran(self, url: str, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the same, and return how it ended and what it printed."""
        given = {**PLAIN, "SQLALCHEMY_DATABASE_URI": url, **env}
        with self.jobs.knowing(self.later):
            return self.jobs.runner.run(["--app", "scaffold:create_app", *command], given, "")

    def flask(self, url: str, *command: str, **env: str) -> str:
        """Start `flask --app scaffold:create_app COMMAND` as a release's job does, and return the container's name."""
        return self.start(
            "flask", "--app", "scaffold:create_app", *command, files={"database-url": url}, options=(),
            **{"SQLALCHEMY_DATABASE_URI_FILE": "/run/files/database-url", **env},
        )  # fmt: skip

    def finished(self, name: str) -> tuple[int, list[dict[str, Any]]]:
        """Wait for a container's end and return its exit code and what it printed."""
        code = int(self.docker("wait", name, timeout=90))
        return code, json_lines(self.docker, name)

    def upgrade(self, urls: Urls, **env: str) -> None:
        """Bring a database to the image's newest revision."""
        code, lines = self.run(urls.owner, "db", "upgrade", **env)
        assert code == 0, lines


class Jobs:
    """One container of an image, there for all commands that need none of their own."""

    def __init__(self, image: Image) -> None:
        self.image = image

    @cached_property
    def versions(self) -> Path:
        """The folder of migrations: the image's own, and for a moment those of a later one."""
        folder = self.image.folder / "versions"
        shutil.copytree(ROOT / "app/migrations/versions", folder, ignore=shutil.ignore_patterns("__pycache__"))
        folder.chmod(0o755)
        return folder

    @cached_property
    def runner(self) -> Runner:
        """What runs `flask` commands in the image."""
        program = {"/run/code/runner.py": (ROOT / "tests/app/runner.py").read_text(encoding="utf-8")}
        options = [*self.image.options(program), f"-v={self.versions}:{VERSIONS}:ro"]
        return Runner(["docker", "run", "-i", "--rm", *options, self.image.image, "python", "/run/code/runner.py"])

    @contextmanager
    def knowing(self, later: Mapping[str, str]) -> Iterator[None]:
        """Have more migrations there during the block, by their revisions."""
        paths = {self.versions / later_name(revision): source for revision, source in later.items()}
        for path, source in paths.items():
            path.write_text(source, encoding="utf-8")
            path.chmod(0o444)
        try:
            yield
        finally:
            for path in paths:
                path.unlink()


@pytest.fixture(scope="session")
def image(docker: Docker, app_image: str, run_id: str, network: str, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The app's image, ready to run."""
    folder = tmp_path_factory.mktemp("files")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    return Image(docker, app_image, f"scaffold.test={run_id}", network, folder)


@pytest.fixture(scope="session")
def ready(image: Image, postgres: Postgres) -> Urls:
    """A database with the newest schema, which tests must not change."""
    urls = postgres.database()
    image.upgrade(urls)
    return urls


@pytest.fixture(scope="session")
def web(image: Image, ready: Urls) -> Web:
    """The app as in production, with its database ready; tests must leave it as it is."""
    web = image.web(ready)
    until(lambda: web.status("/readyz") == 200, "/readyz")
    return web


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with Prometheus' programs."""
    return programs(tmp_path_factory.mktemp("prometheus"))
