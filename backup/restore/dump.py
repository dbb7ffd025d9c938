"""A dump in pg_dump's custom format: its version, and what pg_restore does with it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from backup.program import Program
from backup.tools import Tools
from restore.inlet import CUSTOM
from restore.lexer import CUT
from restore.refusal import RefusalError

# The newest archive that each major's pg_restore reads, and the oldest that any does as it should.
NEWEST = {13: (1, 14), 14: (1, 14), 15: (1, 14), 16: (1, 15), 17: (1, 16), 18: (1, 16)}
OLDEST = (1, 10)
POLL_SECONDS = 0.05
END_SECONDS = 30.0

ERROR = "pg_restore: error: "
ENTRY = re.compile(r"pg_restore: from TOC entry \d+; \d+ \d+ (?P<entry>.{1,300})")
AT_LINE = re.compile(r"CONTEXT: +COPY .{1,200}?, line (?P<line>\d+)")
AT_TABLE = re.compile(r'pg_restore: processing data for table "(?P<table>.{1,200}?)"')
VALUE = re.compile(r"(ERROR: +[^\"]{1,200}: )\".*")
PASSING = re.compile(
    r"server closed the connection|connection to server|terminating connection|the database system is"
    r"|No space left on device|out of (shared )?memory|remaining connection slots"
)
LINE_BYTES = 4096


class Version(NamedTuple):
    """An archive's version."""

    major: int
    minor: int
    revision: int

    def __str__(self) -> str:
        """Return it as PostgreSQL writes it."""
        return f"{self.major}.{self.minor}-{self.revision}"


def version(head: bytes) -> Version:
    """Return the version that an archive's first bytes tell; raise RefusalError when they are cut short."""
    numbers = head[len(CUSTOM) : len(CUSTOM) + 3]
    if len(numbers) < 3:
        raise RefusalError("the file ends inside its header", CUT)
    return Version(*numbers)


def check(found: Version, tools: Tools) -> None:
    """Raise RefusalError for an archive that the tools cannot read."""
    newest = NEWEST.get(tools.major, max(NEWEST.values()))
    if not OLDEST <= (found.major, found.minor) <= newest:
        raise RefusalError(
            f"its archive version is {found}, and PostgreSQL {tools.version} reads {OLDEST[0]}.{OLDEST[1]} to "
            f"{newest[0]}.{newest[1]}",
            f"Make it with pg_dump of version {tools.major}",
        )


def text(tools: Tools, path: Path) -> list[str]:
    """Return the command that writes a dump as a plain one, to where this program reads it and nobody runs it."""
    return [tools.command("pg_restore"), "--file=-", str(path)]


def load(tools: Tools, path: Path, chosen: Path, conninfo: str, jobs: int) -> list[str]:
    """Return the command that loads the chosen entries into a database."""
    return [
        tools.command("pg_restore"),
        "--verbose",
        "--exit-on-error",
        "--no-owner",
        "--no-acl",
        "--no-publications",
        "--no-subscriptions",
        "--no-security-labels",
        "--no-tablespaces",
        "--no-password",
        f"--jobs={jobs}",
        f"--use-list={chosen}",
        f"--dbname={conninfo}",
        str(path),
    ]


def finish(restoring: Program) -> None:
    """Wait for its end, which is near; raise RefusalError with its words when it has failed."""
    deadline = time.monotonic() + END_SECONDS
    while restoring.running():
        if time.monotonic() > deadline:
            raise RefusalError("pg_restore does not end", AGAIN, transient=True)
        time.sleep(POLL_SECONDS)
    if restoring.process.returncode:
        raise explained(said(restoring), restoring.process.returncode)


def said(restoring: Program) -> Iterator[str]:
    """Yield the lines of what it said, as far as they are of use."""
    restoring.errors.seek(0)
    while line := restoring.errors.readline(LINE_BYTES):
        yield line.decode("utf-8", "replace").rstrip()


def at_table(restoring: Program) -> str:
    """Return the table whose data it began with last."""
    found = AT_TABLE.findall(restoring.words())
    return str(found[-1]) if found else ""


def explained(lines: Iterable[str], status: int) -> RefusalError:
    """Return why it failed by its first error, without the rows and statements that it quotes."""
    reason, entry, at_line = "", "", ""
    for line in lines:
        if not reason and (found := ENTRY.match(line)):
            entry = f" in {found['entry'].strip()}"
        elif not reason and line.startswith(ERROR):
            reason = VALUE.sub(r"\1…", line.removeprefix(ERROR)).rstrip(".")
        elif reason and (found := AT_LINE.match(line)):
            at_line = f", line {found['line']} of its data"
            break
        elif reason and line.startswith("pg_restore: "):
            break
    if not reason:
        how = f"status {status}" if status > 0 else f"signal {-status}"
        return RefusalError(f"pg_restore ended with {how}", AGAIN, transient=True)
    passing = bool(PASSING.search(reason))
    hint = AGAIN if passing else "Make the dump anew, or mend in its database what is named here"
    return RefusalError(f"pg_restore: {reason}{entry}{at_line}", hint, transient=passing)


AGAIN = "It is tried again"
