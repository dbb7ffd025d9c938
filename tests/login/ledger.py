"""What a stack's database holds, asked by its superuser over a connection that stays open."""

from __future__ import annotations

import subprocess
from typing import Any

from tests.e2e.site import Site

END = "-- end of the answer --"
PSQL = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", "scaffold")


class Ledger:
    """A session of psql in the database's container."""

    def __init__(self, site: Site) -> None:
        (name,) = site.containers("database", running=True)
        self.process = subprocess.Popen(
            ["docker", "exec", "--interactive", name, *PSQL],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
        )  # fmt: skip

    def __enter__(self) -> Ledger:
        """Ask."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ask no more."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def rows(self, statement: str) -> list[list[str]]:
        """Return the rows of an answer; nothing that a statement asks for here has a bar or a line end in it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{statement};\nSELECT '{END}';\n")
        self.process.stdin.flush()
        found: list[list[str]] = []
        while (line := self.process.stdout.readline().rstrip("\n")) != END:
            assert line or self.process.poll() is None, f"psql has ended: {found}"
            found.append(line.split("|"))
        return found

    def number(self, statement: str) -> int:
        """Return the one number of an answer."""
        rows: Any = self.rows(statement)
        ((value,),) = rows
        return int(value)

    def sessions(self) -> int:
        """Return how many sessions there are."""
        return self.number("SELECT count(*) FROM sessions")
