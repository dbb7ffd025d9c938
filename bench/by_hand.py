"""In the backup's container: what somebody types who wants to know that a dump is good, timed.

The server to restore into is there already and costs nothing here; it has the settings of the backup's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from backup import connection, dump, reading, throwaway, tools, url
from backup.connection import Access
from backup.url import Postgres

FOLDER = Path("/var/lib/backup/by-hand")
HASHES = Path("/var/lib/backup/hashes.sql")
DUMP = Path("/var/lib/backup/by-hand.dump")


def start(access: Access, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start one of PostgreSQL's programs."""
    command = [programs.command(name), *arguments, f"--dbname={access.conninfo}"]
    return subprocess.Popen(
        command, env=access.environ, pass_fds=access.descriptors, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def done(*processes: subprocess.Popen[bytes]) -> None:
    """Wait for programs; end with the status of one that failed."""
    for process in processes:
        if process.wait():
            sys.exit(process.returncode)


def hashes(access: Access) -> subprocess.Popen[bytes]:
    """Start the queries."""
    return start(access, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", f"--file={HASHES}")


def type_all(live: Postgres, empty: Postgres) -> float:
    """Dump and hash at once, read the dump, restore it, hash that; return the seconds."""
    began = time.monotonic()
    with connection.access(live) as access:
        done(hashes(access), start(access, "pg_dump", "-Fc", f"--compress={dump.COMPRESSION}", f"--file={DUMP}"))
    subprocess.run([programs.command("pg_restore"), "--file=/dev/null", str(DUMP)], check=True, timeout=3600)
    with connection.access(empty) as access:
        jobs = f"--jobs={min(4, os.cpu_count() or 1)}"
        done(start(access, "pg_restore", "--exit-on-error", "--no-owner", "--no-acl", jobs, str(DUMP)))
        done(hashes(access))
    return time.monotonic() - began


programs = tools.find()
target = url.find(os.environ)
assert isinstance(target, Postgres)
with connection.connect(target) as session:
    HASHES.write_text("".join(f"{reading.count_and_hash(place)};\n" for place in reading.tables(session)))
try:
    with throwaway.started(programs, FOLDER) as server:
        with connection.connect(server.as_admin()) as session:
            session.execute(f'CREATE DATABASE restored OWNER "{server.loader}" TEMPLATE template0'.encode())
        sys.stdout.write(f"{type_all(target, server.as_loader('restored')):.3f}\n")
finally:
    HASHES.unlink()
    DUMP.unlink(missing_ok=True)
