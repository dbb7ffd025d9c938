"""A provider that is a program of its own, which ends with the tests however they end."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.login.provider import Provider

START_SECONDS = 120
# Who holds the other end of its input is there as long as the tests are: whatever ends them closes it.
GUARD = """
import select, subprocess, sys
with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as program:
    while program.poll() is None and not select.select([sys.stdin], [], [], 1)[0]:
        pass
    program.kill()
"""


class Program(Provider):
    """A provider that answers at a path once it has begun."""

    metadata_path: str
    headers: Mapping[str, str] = MappingProxyType({})
    """By what it knows its own address, where it is asked at another one."""
    person: str
    email: str
    fields: tuple[tuple[str, str], ...]
    """What is filled into its form."""
    button: str

    def begin(self, command: Sequence[str], log: Path) -> None:
        """Start it, and wait until it says who it is."""
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", GUARD, *command], stdin=subprocess.PIPE, stdout=output, stderr=output
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"after {START_SECONDS} s no answer: {log.read_text()}"
            time.sleep(0.1)

    def answers(self) -> bool:
        """Tell whether it serves."""
        try:
            self.metadata()
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def metadata(self) -> str:
        """Return what it says of itself."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{self.metadata_path}", headers=dict(self.headers))
        with urllib.request.urlopen(asked, timeout=10) as answer:
            said: bytes = answer.read()
        return said.decode()

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
