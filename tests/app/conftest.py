"""The app with SQLite for quick tests, and the image run as in production beside the project's own PostgreSQL."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from scaffold import create_app, schema
from scaffold.database import db
from scaffold.settings import Settings, load
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tests.conftest import ROOT

Docker = Callable[..., str]
(HEAD,) = schema.heads()
SECRET_KEY = "k3y-0f-tests-abcdefghijklmnopqrstuvwxyz"
PASSWORDS = {"owner": "0wner-s3cret", "app_a": "app-s3cret"}
HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--user", "10001:10001", "--tmpfs", "/tmp:rw,noexec,nosuid,size=16m", "--memory", "384m",
)  # fmt: skip


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Return the condition's value as soon as it is true; fail when it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return found


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
        """Run SQL as the superuser."""
        command = ["psql", "-h", "/run/postgresql", "-U", "postgres", "-d", database, "-XAtq", "-v", "ON_ERROR_STOP=1"]
        return self.docker("exec", self.name, *command, "-c", sql)

    @property
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
        self.psql("postgres", "CREATE ROLE app NOLOGIN")
        for role, password in PASSWORDS.items():
            self.psql("postgres", f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        self.psql("postgres", "GRANT app TO app_a")

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
        self.psql(name, "ALTER SCHEMA public OWNER TO owner")
        self.psql(name, "REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO app")
        self.psql(
            name,
            "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public "
            "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app",
        )
        self.psql(
            name, "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT SELECT, USAGE ON SEQUENCES TO app"
        )

    def urls(self, name: str) -> Urls:
        """Return the ways into a database."""
        base = make_url("postgresql+psycopg://host/x").set(host=self.name, port=5432, database=name)
        owner, app = (
            base.set(username=role, password=PASSWORDS[role]).render_as_string(hide_password=False)
            for role in ("owner", "app_a")
        )
        return Urls(name, owner, app)


def start_postgres(docker: Docker, image: str, run_id: str, network: str) -> Postgres:
    """Start a server as in production and wait until it answers."""
    name = f"scaffold-test-app-db-{uuid.uuid4().hex[:8]}"
    docker(
        "run", "-d", "--name", name, "--label", f"scaffold.test={run_id}", "--network", network, "--memory", "512m",
        "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp",
        "--stop-timeout", "20", "-v", "/var/lib/postgresql", "-v", "/run/postgresql", image,
    )  # fmt: skip
    server = Postgres(docker, name, network)
    wait_until(server.answers, "PostgreSQL", 60)
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


def flask(postgres: Postgres, url: str, *command: str, said: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run `flask --app scaffold:create_app COMMAND` from the working tree on a database of the server."""
    here = make_url(url).set(host=postgres.address).render_as_string(hide_password=False)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "app"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ENVIRONMENT": "production",
        "SQLALCHEMY_DATABASE_URI": here,
        **env,
    }
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "scaffold:create_app", *command],
        capture_output=True, text=True, timeout=120, check=False, input=said, env=environment,
    )  # fmt: skip


@pytest.fixture
def site(settings: Settings, postgres: Postgres, migrated: str) -> Iterator[Flask]:
    """The app of the working tree as in production, on a PostgreSQL database of its own with the app's own role."""
    urls = postgres.copy(migrated)
    url = make_url(urls.app).set(host=postgres.address)
    settings.maintenance_page_file.write_text("<p>Back soon</p>", encoding="utf-8")
    with running(replace(settings, database_url=url)) as app:
        app.extensions["urls"] = urls
        yield app


@pytest.fixture
def trial(settings: Settings, postgres: Postgres, migrated: str) -> Iterator[Flask]:
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

    def ask(self, path: str, method: str = "GET", timeout: float = 10, **headers: str) -> Answer:
        """Ask over a connection of its own; header names are written with underscores."""
        connection = http.client.HTTPConnection(self.address, 8000, timeout=timeout)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            body = response.read().decode()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
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
    found = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert all(isinstance(line, dict) and {"event", "level", "timestamp", "release"} <= line.keys() for line in found)
    return found


class Image:
    """Runs the app's image with production's restrictions."""

    def __init__(
        self, docker: Docker, image: str, label: str, network: str, folder: Path, mounts: tuple[str, ...] = ()
    ) -> None:
        self.docker = docker
        self.image = image
        self.label = label
        self.mounts = mounts
        self.network = network
        self.folder = folder

    def file(self, content: str) -> str:
        """Return the path of a file with the content, which the app's user can read."""
        path = self.folder / uuid.uuid4().hex
        path.write_text(content, encoding="utf-8")
        path.chmod(0o444)
        return str(path)

    def start(
        self, *command: str, files: dict[str, str] | None = None, options: tuple[str, ...] = (), **env: str
    ) -> str:
        """Start a container and return its name; `files` maps names under /run/files to contents."""
        name = f"scaffold-test-app-{uuid.uuid4().hex[:10]}"
        mounts = [f"-v={self.file(content)}:/run/files/{file}:ro" for file, content in (files or {}).items()]
        told = [f"--env={key}={value}" for key, value in env.items()]
        self.docker(
            "run", "-d", "--name", name, "--label", self.label, "--network", self.network,
            *HARDENED, *self.mounts, *options, *mounts, *told, self.image, *command,
        )  # fmt: skip
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
        wait_until(lambda: web.status("/healthz") == 200, "/healthz")
        return web

    def with_migrations(self, sources: Mapping[str, str]) -> Image:
        """Return a later image: this one with more migrations, by their revisions."""
        mounts = [
            f"-v={self.file(source)}:/app/migrations/versions/{revision}_later.py:ro"
            for revision, source in sources.items()
        ]
        return Image(self.docker, self.image, self.label, self.network, self.folder, (*self.mounts, *mounts))

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
        code, lines = self.finished(self.flask(urls.owner, "db", "upgrade", **env))
        assert code == 0, lines


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
    wait_until(lambda: web.status("/readyz") == 200, "/readyz")
    return web
