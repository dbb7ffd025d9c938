"""SQL through the psql program, which gets it on standard input and never in its arguments."""

from __future__ import annotations

import os
import re
import subprocess
from typing import NamedTuple

TIMEOUT = 60.0
ERROR = re.compile(r"(?:ERROR|FATAL):  (?:(?P<state>[0-9A-Z]{5}): )?(?P<message>[^\n]*)")


class SqlError(Exception):
    """A statement or a connection failed; `state` is the SQLSTATE, empty where no connection came about."""

    def __init__(self, state: str, message: str) -> None:
        """Take the SQLSTATE and the server's words."""
        super().__init__(message)
        self.state = state


class Connection(NamedTuple):
    """Where psql connects: a connection string without password, and the password."""

    conninfo: str
    password: str | None = None


def passfile_line(password: str) -> str:
    """Return the line of a password file that gives this password to every connection."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"


def explain(stderr: str) -> SqlError:
    """Return the error that psql's standard error tells of, without the text of the statement."""
    found = ERROR.search(stderr)
    if found:
        return SqlError(found["state"] or "", found["message"])
    lines = [text.strip() for text in stderr.splitlines() if text.strip()]
    return SqlError("", " ".join(lines).removeprefix("psql: error: ") or "psql ended without a word")


def query(connection: Connection, text: str, timeout: float = TIMEOUT) -> str:
    """Run statements, stopping at the first that fails, and return what they print, unaligned.

    The password goes through a file that exists in memory only and is open in this process and psql alone.
    Raise SqlError when a statement or the connection fails, or time (seconds) is up.
    """
    environ = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "PGAPPNAME": "scaffold-database"}
    descriptors: list[int] = []
    try:
        if connection.password is not None:
            descriptor = os.memfd_create("passfile")
            descriptors.append(descriptor)
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, passfile_line(connection.password).encode())
            environ["PGPASSFILE"] = f"/proc/self/fd/{descriptor}"
        command = ["psql", "--no-psqlrc", "--no-password", "--quiet", "--no-align", "--tuples-only"]
        command += ["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose", f"--dbname={connection.conninfo}", "--file=-"]
        done = subprocess.run(
            command, input=text, capture_output=True, encoding="utf-8", timeout=timeout, check=False,
            env=environ, pass_fds=descriptors,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SqlError("", f"no answer within {timeout:.0f} s") from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    if done.returncode != 0:
        raise explain(done.stderr)
    return done.stdout.strip()


def conninfo(keywords: dict[str, str]) -> str:
    """Return a connection string of keywords and values."""
    quoted = {key: value.replace("\\", "\\\\").replace("'", "\\'") for key, value in keywords.items()}
    return " ".join(f"{key}='{value}'" for key, value in quoted.items())
