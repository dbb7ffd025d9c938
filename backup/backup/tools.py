"""PostgreSQL's programs beside this one: where they are, how old they are, and which extensions they know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from backup import program
from backup.error import StopError

HOME = Path("/usr/lib/postgresql")
VERSION = re.compile(r"\(PostgreSQL\) (?P<major>[0-9]+)(?:\.(?P<minor>[0-9]+))?")

# The first minor of each major whose pg_dump and pg_restore stand up to what a hostile server or file sends them
# (CVE-2026-18408, CVE-2026-6464, CVE-2026-19385).
FIXED = {14: 24, 15: 19, 16: 15, 17: 11, 18: 6}


class Tools(NamedTuple):
    """The programs of one PostgreSQL."""

    binaries: Path
    major: int
    minor: int
    extensions: frozenset[str]

    @property
    def version(self) -> str:
        """The version in words."""
        return f"{self.major}.{self.minor}"

    def command(self, name: str) -> str:
        """Return a program's path."""
        return str(self.binaries / name)


def find(home: Path = HOME) -> Tools:
    """Return the newest programs there are; raise StopError when there are none, or only outdated ones."""
    majors = sorted((int(path.name) for path in home.glob("[0-9]*") if path.name.isdigit()), reverse=True)
    if not majors:
        raise StopError(f"{home}: no PostgreSQL is there, wanted its server and clients. Use the backup image")
    binaries = home / str(majors[0]) / "bin"
    major, minor = parse(program.output([str(binaries / "pg_dump"), "--version"]))
    check(major, minor)
    shared = program.output([str(binaries / "pg_config"), "--sharedir"]).strip() if pg_config(binaries) else ""
    folder = Path(shared or f"/usr/share/postgresql/{major}") / "extension"
    return Tools(binaries, major, minor, frozenset(path.stem for path in folder.glob("*.control")))


def pg_config(binaries: Path) -> bool:
    """Tell whether the program that knows the folders is there; Debian has it in another package."""
    return (binaries / "pg_config").exists()


def parse(text: str) -> tuple[int, int]:
    """Return the major and minor version that a program tells of itself."""
    found = VERSION.search(text)
    if not found:
        raise StopError(
            f"pg_dump: got {text.strip()[:80]!r} as its version, wanted such as 'pg_dump (PostgreSQL) 17.11'"
        )
    return int(found["major"]), int(found["minor"] or 0)


def check(major: int, minor: int) -> None:
    """Raise StopError for programs older than the fixes they need."""
    oldest = FIXED.get(major)
    if oldest is not None and minor < oldest:
        raise StopError(
            f"pg_dump is {major}.{minor}, wanted {major}.{oldest} or later: older ones can be taken over by what they "
            f"read. Renew the image's packages: make upgrade-images"
        )
