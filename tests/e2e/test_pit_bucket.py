"""The archive in a bucket, with `make`, on Docker: a moment comes back from it, and a lost machine its last commit."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from operate.docker import images
from setup.daemon import Daemon, endpoint_from
from tests.backup.store import BUCKET, KEY_ID, SECRET, OnTheMachine
from tests.conftest import Docker, free_port, remove_labelled, remove_what_dead_runs_left, run_docker, until
from tests.e2e.machine import Machine, age_key, clone

pytestmark = pytest.mark.slow


@dataclass
class Story:
    """A stack whose archive is in a bucket, the machine that it is on, and what outlives that."""

    machine: Machine
    server: OnTheMachine
    folder: Path
    key: Path
    refused: str

    @property
    def database(self) -> str:
        """The database's container."""
        return f"scaffold-{self.machine.stack}-database"

    def sql(self, statement: str) -> str:
        """Run a statement as the superuser."""
        return run_docker("exec", self.database, "psql", "-XqAt", "-d", "scaffold", "-c", statement)

    def add(self, name: str) -> None:
        """Commit a row."""
        self.sql(f"CREATE TABLE IF NOT EXISTS story (name text); INSERT INTO story VALUES ('{name}')")  # noqa: S608

    def names(self) -> str:
        """Return the rows."""
        return self.sql("SELECT string_agg(name, ',') FROM story")

    def inside(self, *words: str) -> str:
        """Run a command in the database's container."""
        return run_docker("exec", self.database, *words)

    def wait_for_a_backup(self) -> None:
        """Wait until something can be reached."""
        until(lambda: json.loads(self.inside("python3", "-m", "server", "window"))["windows"], "base backup", 180)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, run_id: str, docker: Docker) -> Iterator[Story]:
    """A stack that archives into a bucket, after a first `make up` with another key and one with its own."""
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    folder = tmp_path_factory.mktemp("pit-bucket")
    key, recipient = age_key(folder)
    machine = Machine(folder / "first", f"e2e-{run_id}-log", clone(folder / "clone"))
    machine.folder.mkdir()
    (folder / "s3").mkdir()
    server = OnTheMachine(folder / "s3")
    server.start()
    port = free_port()
    plain = {
        "environment": "development", "siteUrl": f"http://localhost:{port}", "gatewayPort": str(port), "pitr": "true",
        "pitrS3Bucket": BUCKET, "pitrS3Endpoint": server.endpoint, "pitrS3Prefix": "log",
        "pitrS3Authorities": server.authorities,
    }  # fmt: skip
    try:
        for name, value in plain.items():
            machine.sets(name, value)
        machine.sets("pitrS3AccessKey", KEY_ID, "--secret")
        machine.sets("pitrS3SecretKey", "another", "--secret")
        machine.sets("backupRecipients[0]", recipient, "--path")
        machine.types("up", check=False)
        refused = machine.types("logs", SERVICE="database")
        machine.sets("pitrS3SecretKey", SECRET, "--secret")
        machine.types("up")
        yield Story(machine, server, folder, key, refused)
    finally:
        server.stop()
        remove_labelled(f"scaffold.stack={machine.stack}")
        client = Daemon(endpoint_from({}))
        images.remove(client, images.own(client, machine.stack))


def test_a_wrong_key_fails_the_first_update_and_is_in_the_databases_log(story: Story) -> None:
    assert "whether s3://backups/log holds backups of a cluster that was here cannot be told" in story.refused
    assert "403 (Forbidden)" in story.refused


def test_the_database_goes_back_to_a_moment_by_the_bucket(story: Story) -> None:
    story.wait_for_a_backup()
    story.add("kept")
    time.sleep(1.1)
    moment = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    time.sleep(1.1)
    story.add("regretted")
    story.machine.types("restore-pit", TO=moment, YES="yes")
    assert story.names() == "kept"
    story.wait_for_a_backup()
    assert "Every moment can be reached of" in story.machine.types("pit")
    names = run_docker("ps", "--all", "--quiet", "--filter", f"label=scaffold.stack={story.machine.stack}").split()
    seen = run_docker("container", "inspect", *names) + story.inside(
        "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
    )
    assert SECRET not in seen
    assert {path.name for path in (story.server.data / "log").iterdir()} == {"archive", "backup"}


def test_a_lost_machine_comes_back_with_what_was_committed_after_the_kit_was_made(story: Story) -> None:
    kit = story.folder / "kit.age"
    story.machine.types("recovery-kit", TO=str(kit))
    story.add("after-the-kit")
    story.inside("python3", "-m", "server", "window", "seal")
    remove_labelled(f"scaffold.stack={story.machine.stack}")
    shutil.rmtree(story.machine.folder)
    story.machine.folder.mkdir()

    said = story.machine.types("recover", KIT=str(kit), IDENTITY=str(story.key))
    assert "The archive's last commit is of" in said
    assert re.search(r"Restored: the archive to its end, \d+ rows in \d+ tables", said), said
    assert story.names() == "kept,after-the-kit"
    story.wait_for_a_backup()


def test_what_came_back_is_a_stack_like_any_other(story: Story) -> None:
    said = story.machine.types("up", "--diff")
    assert re.search(r"\b1 deleted\b|- 1 deleted", said), said
    assert not re.search(r"\d+ (created|replaced|updated)", said), said
    assert story.names() == "kept,after-the-kit"
