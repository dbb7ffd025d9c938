"""A PostgreSQL that exists for one test restore: its own folder, a socket in it, and no way in from elsewhere."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from backup import connection, program, sql
from backup.connection import Session
from backup.error import StopError
from backup.tools import Tools
from backup.url import Postgres

CLUSTER = Path("/usr/lib/backup/cluster")
START_SECONDS = 60.0
POLL_SECONDS = 0.02
# A socket's path has 107 bytes, and its file is called .s.PGSQL.5432.
LONGEST = 107 - len("/.s.PGSQL.5432")

# What is restored here is compared and thrown away, so nothing needs to survive a crash.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "max_connections": "20",
    "max_locks_per_transaction": "1024",
    "shared_buffers": "64MB",
    "maintenance_work_mem": "128MB",
    # Files, which go with the folder: of a killed server nothing stays in the kernel.
    "dynamic_shared_memory_type": "mmap",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "max_logical_replication_workers": "0",
    "huge_pages": "off",
    "jit": "off",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
    "unix_socket_permissions": "0700",
}


class Server(NamedTuple):
    """A running throwaway server: who administers it, and who may load what nobody has looked through yet."""

    sockets: Path
    admin: str
    admin_password: str
    loader: str
    loader_password: str

    def as_admin(self, database: str = "postgres") -> Postgres:
        """Return the way in as its superuser."""
        return Postgres(self.place(self.admin, database), self.admin_password)

    def as_loader(self, database: str) -> Postgres:
        """Return the way in as the role that loads a dump and reads what came of it."""
        return Postgres(self.place(self.loader, database), self.loader_password)

    def place(self, user: str, database: str) -> dict[str, str]:
        """Return libpq's keywords."""
        return {"host": str(self.sockets), "user": user, "dbname": database}


def sweep(folder: Path) -> None:
    """Remove what an earlier server left; one that still runs ends when it misses its folder."""
    if folder.exists():
        shutil.rmtree(folder)


def clear(work: Path) -> None:
    """Remove all that killed ones left where test restores are made; raise StopError where nothing can be made there.

    A drill that was killed leaves what it has decrypted.
    """
    try:
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("proof", "drill"):
            sweep(work / name)
        (work / "proof").mkdir()
        (work / "proof").rmdir()
    except OSError as error:
        raise StopError(
            f"{work}: cannot be written as uid {os.getuid()}: {error.strerror}. Mount a volume there, or for a host "
            f"folder run: chown {os.getuid()}:{os.getgid()} FOLDER. BACKUP_WORK_DIR names it"
        ) from None


@contextlib.contextmanager
def started(tools: Tools, folder: Path) -> Iterator[Server]:
    """Make and run a server in a folder for as long as the block lasts; raise StopError when it does not start."""
    if len(str(folder).encode()) > LONGEST:
        raise StopError(f"BACKUP_WORK_DIR: {folder} is too long for a socket: wanted at most {LONGEST} bytes")
    sweep(folder)
    folder.mkdir(mode=0o700, parents=True)
    # No role of the original can have these names by accident.
    unique = secrets.token_hex(6)
    server = Server(folder, f"admin_{unique}", secrets.token_urlsafe(24), f"loader_{unique}", secrets.token_urlsafe(24))
    try:
        initialise(tools, folder, server)
        with program.started([tools.command("postgres"), "-D", str(folder / "data")], ending=signal.SIGQUIT) as running:
            with await_start(running, server) as session:
                session.execute(
                    f"CREATE ROLE {sql.name(server.loader)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE BYPASSRLS "
                    f"PASSWORD {sql.string(server.loader_password)}".encode()
                )
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def initialise(tools: Tools, folder: Path, server: Server) -> None:
    """Make the cluster, of the image's empty one; everybody needs a password: what is loaded may try to connect.

    The role that the empty one came with has none. Another is made while nobody can connect at all.
    """
    if not CLUSTER.is_dir():
        raise StopError(
            f"{CLUSTER}: is not there, wanted the empty server that test restores begin with. Use the image"
        )
    data = folder / "data"
    program.run(["cp", "--recursive", str(CLUSTER), str(data)], seconds=START_SECONDS)
    data.chmod(0o700)
    (data / "pg_hba.conf").write_text("local all all scram-sha-256\n", encoding="ascii")
    own = {**SETTINGS, "unix_socket_directories": str(folder)}
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.writelines(f"{name} = {sql.string(value)}\n" for name, value in own.items())
    role = f"CREATE ROLE {sql.name(server.admin)} SUPERUSER LOGIN PASSWORD {sql.string(server.admin_password)}\n"
    with tempfile.TemporaryFile() as told:
        told.write(role.encode())
        told.seek(0)
        alone = [tools.command("postgres"), "--single", "-D", str(data), "postgres"]
        program.run(alone, seconds=START_SECONDS, stdin=told)


def await_start(running: program.Program, server: Server) -> Session:
    """Return the superuser's session as soon as the server accepts one."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return connection.connect(server.as_admin())
        except StopError as error:
            if not running.running():
                raise StopError(f"the throwaway PostgreSQL did not start: {running.words()}") from None
            if time.monotonic() > deadline:
                raise StopError(f"the throwaway PostgreSQL did not answer in {START_SECONDS:.0f} s: {error}") from None
        time.sleep(POLL_SECONDS)
