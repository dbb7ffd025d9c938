"""A database that archives, what it is restored into, and how a test looks at both."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Sequence
from typing import Any

from tests.database.conftest import Database, roles_document

HERE = "/var/lib/pgbackrest"
PATIENCE = 120
"""Seconds: a backup makes a thousand files durable, and a busy disk takes its time for each."""


class Archived:
    """A database that archives into a volume of its own, and the volumes that it is restored into."""

    def __init__(self, database: Database, where: Sequence[str] = ()) -> None:
        """Use the volume, or what these options of its containers say."""
        self.database = database
        self.where = list(where)
        self.archive = self.volume("archive")

    def volume(self, name: str) -> str:
        """Make a volume; it goes away with the run."""
        full = f"{self.database.name}-{name}"
        self.database.docker("volume", "create", "--label", self.database.label, full)
        return full

    def start(self, *options: str, seconds: int = 1) -> None:
        """Start the server, which hands over a segment every so many seconds."""
        every = f"PITR_SEGMENT_SECONDS={seconds}"
        self.database.create("-v", f"{self.archive}:{HERE}", "-e", "PITR=true", "-e", every, *self.where, *options)
        self.database.wait_for("ready to accept connections", seconds=PATIENCE)

    def begin(self, *options: str, seconds: int = 1) -> None:
        """Start it for the first time, with its roles, a table of the app's, and its first backup."""
        self.start(*options, seconds=seconds)
        self.database.roles(roles_document())
        self.database.sql("CREATE TABLE entry (name text PRIMARY KEY)")
        self.database.wait_for("backup made", seconds=PATIENCE)

    def add(self, name: str) -> None:
        """Commit a row."""
        self.database.sql(f"INSERT INTO entry VALUES ('{name}')")  # noqa: S608

    def moment(self) -> str:
        """Return this moment, which lies between what was committed before and what comes after."""
        time.sleep(1.1)
        now = time.time()
        time.sleep(1.1)
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))

    def window(self, *words: str) -> dict[str, Any]:
        """Return what the server's container says can be reached."""
        said = self.database.docker("exec", self.database.name, "python3", "-m", "server", "window", *words, timeout=90)
        found: dict[str, Any] = json.loads(said)
        return found

    def restore(self, to: str, volume: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
        """Restore into a volume as the stack's job does: with no way to the live server, or to any but a bucket."""
        reach = self.where or ["--network", "none"]
        done = subprocess.run(
            ["docker", "run", "--rm", *self.database.hardened(*reach, "--memory", "512m", *options),
             "-v", f"{volume}:/var/lib/postgresql", "-v", f"{self.archive}:{HERE}", "-e", f"RESTORE_TO={to}",
             self.database.image, "python3", "-m", "server", "restore"],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert not done.stderr, done.stderr
        return done.returncode, [json.loads(text) for text in done.stdout.splitlines()]

    def restored(self, to: str) -> str:
        """Restore into a new volume and return its name."""
        volume = self.volume(uuid.uuid4().hex[:6])
        code, lines = self.restore(to, volume)
        assert code == 0, lines
        return volume

    def refused(self, to: str) -> str:
        """Return why a restore is refused; nothing that looks like a cluster is left of it."""
        volume = self.volume(uuid.uuid4().hex[:6])
        code, lines = self.restore(to, volume)
        assert code == 1, lines
        assert self.inside(volume, "ls -d /there/data || true") == ""
        return str(lines[-1]["event"])

    def swap(self, volume: str, *options: str) -> None:
        """Have the server run on another volume, as the setting databaseVolume does."""
        self.database.docker("rm", "-f", self.database.name)
        self.database.docker(
            "run", "-d", "--name", self.database.name, *self.database.hardened("--memory", "512m", "--shm-size", "1m"),
            "-v", f"{volume}:/var/lib/postgresql", "-v", f"{self.database.sockets}:/run/postgresql",
            "-v", f"{self.archive}:{HERE}", "-e", "PITR=true", "-e", "PITR_SEGMENT_SECONDS=1", "-e",
            "NEW_CLUSTER=refused", *self.where, *options, self.database.image,
        )  # fmt: skip

    def inside(self, volume: str, script: str) -> str:
        """Run a script beside a volume, as root."""
        return self.database.docker(
            "run", "--rm", "--label", self.database.label, "--user", "0", "-v", f"{volume}:/there",
            self.database.image, "sh", "-c", script,
        )  # fmt: skip

    def names(self) -> str:
        """Return the rows."""
        return self.database.sql("SELECT string_agg(name, ',' ORDER BY name) FROM entry")

    def event(self, text: str) -> dict[str, Any]:
        """Return the last line with that text."""
        return [each for each in self.database.lines() if text in str(each["event"])][-1]
