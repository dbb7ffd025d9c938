"""Going back to a moment with `make`, on Docker: refused, restored beside what serves, swapped in, forgotten."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import Docker, free_port, remove_labelled, run_docker
from tests.setup.conftest import COPIED, ROOT, Clone, borrow_packages, own_environment, write_tracked

pytestmark = pytest.mark.slow

PROGRAM = ("__main__.py", "infra", "app", "gateway", "database", "backup")
UP_SECONDS = 1500.0


@dataclass
class Story(Clone):
    """A clone of the whole program, and what a person looks at beside it."""

    @property
    def database(self) -> str:
        """The database's container."""
        return f"scaffold-{self.stack}-database"

    def identity(self) -> str:
        """What tells the database's container from another one of the same name."""
        return run_docker("inspect", "-f", "{{.Id}}", self.database)

    def sql(self, statement: str) -> str:
        """Run a statement as the superuser."""
        return run_docker("exec", self.database, "psql", "-XqAt", "-d", "scaffold", "-c", statement)

    def add(self, name: str) -> None:
        """Commit a row."""
        self.sql(f"CREATE TABLE IF NOT EXISTS story (name text); INSERT INTO story VALUES ('{name}')")  # noqa: S608

    def names(self) -> str:
        """Return the rows."""
        return self.sql("SELECT string_agg(name, ',' ORDER BY name) FROM story")

    def volumes(self) -> set[str]:
        """Return the stack's volumes, without its own name."""
        found = run_docker("volume", "ls", "-q", "--filter", f"label=scaffold.stack={self.stack}").split()
        return {name.removeprefix(f"scaffold-{self.stack}-") for name in found}

    def serves(self) -> bool:
        """Return whether the site is ready: web and database work."""
        try:
            with urllib.request.urlopen(f"http://localhost:{self.port}/healthz", timeout=10) as answer:
                return int(answer.status) == 200
        except (urllib.error.URLError, OSError):
            return False

    def made(self, verb: str, **variables: str) -> str:
        """Run a verb that has to go well, and return what it said."""
        code, said = self.make(verb, **variables)
        assert code == 0, said
        return said

    def wait_for_a_backup(self) -> None:
        """Wait until something can be reached."""
        deadline = time.monotonic() + 120
        while self.make("pit")[0] != 0:
            assert time.monotonic() < deadline, self.make("pit")[1]
            time.sleep(1)


def moment() -> str:
    """Return a moment, as a person types it, between what was before and what comes after."""
    time.sleep(1.1)
    now = datetime.datetime.now().astimezone()
    time.sleep(1.1)
    return now.strftime("%Y-%m-%d %H:%M:%S")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, run_id: str, docker: Docker) -> Iterator[Story]:
    """A stack that archives, after its first `make up`."""
    folder = tmp_path_factory.mktemp("pit")
    clone, stack = folder / "clone", f"e2e-{run_id}-pit"
    clone.mkdir()
    for name in (*COPIED, *PROGRAM):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, clone / name)
    environment = own_environment(os.environ, folder / "user", stack)
    made = Story(clone, folder / "user", stack, free_port(), environment, UP_SECONDS)
    write_tracked(made, pitr="true", protectData="true", backups="false", readySeconds="60")
    borrow_packages(clone)
    try:
        made.made("up")
        yield made
    finally:
        remove_labelled(f"scaffold.stack={stack}")


def test_a_moment_out_of_reach_is_refused_and_nothing_is_changed(story: Story) -> None:
    story.wait_for_a_backup()
    before = story.identity(), story.volumes()
    code, said = story.make("restore-pit", TO="2020-01-01 00:00", YES="yes")
    assert code != 0
    assert "cannot be reached. What can be reached is" in said
    code, said = story.make("restore-pit", TO="now-ish", YES="yes")
    assert code != 0
    assert "is no date and time" in said
    code, said = story.make("restore-pit", TO="latest")
    assert code != 0
    assert "nobody is at a terminal" in said
    assert (story.identity(), story.volumes()) == before


def test_the_site_is_as_it_was_then_on_a_new_volume_and_the_old_one_is_kept(story: Story) -> None:
    story.add("kept")
    then = moment()
    story.add("regretted")
    said = story.made("restore-pit", TO=then, YES="yes")
    assert "on the volume database-2. database is kept" in said
    assert story.names() == "kept"
    assert story.serves()
    assert {"database", "database-2", "archive"} <= story.volumes()


def test_another_update_changes_nothing_and_the_archive_goes_on(story: Story) -> None:
    before = story.identity()
    story.made("up")
    assert story.identity() == before
    story.add("written on the new volume")
    story.wait_for_a_backup()
    told = json.loads(run_docker("exec", story.database, "python3", "-m", "server", "window", "seal"))
    assert told["sealed"] is True
    assert {each["timeline"] for each in told["windows"]} == {1, 2}


def test_the_earlier_volume_is_gone_once_it_is_forgotten(story: Story) -> None:
    code, said = story.make("forget-volume", NAME="database-2", YES="yes")
    assert code != 0
    assert "is on database-2" in said
    before = story.identity()
    story.made("forget-volume", NAME="database", YES="yes")
    assert "database" not in story.volumes()
    assert {"database-2", "archive"} <= story.volumes()
    assert story.identity() == before
    assert story.serves()


def test_a_lost_volume_comes_back_with_what_was_archived_and_never_as_an_empty_site(story: Story) -> None:
    story.add("before the loss")
    run_docker("exec", story.database, "python3", "-m", "server", "window", "seal")
    run_docker("rm", "-f", story.database)
    for container in run_docker("ps", "-aq", "--filter", f"volume=scaffold-{story.stack}-database-2").split():
        run_docker("rm", "-f", container)
    run_docker("volume", "rm", f"scaffold-{story.stack}-database-2")

    code, said = story.make("up")
    assert code != 0, said
    log = run_docker("logs", "--tail", "20", story.database)
    assert "make restore-pit TO=latest" in log
    story.made("restore-pit", TO="latest", YES="yes")
    assert story.names() == "before the loss,kept,written on the new volume"
    assert story.serves()


def test_the_archive_goes_when_it_is_told_to_and_the_site_serves_on(story: Story) -> None:
    story.made("forget-volume", NAME="archive", YES="yes")
    assert "archive" not in story.volumes()
    assert story.sql("SHOW archive_mode") == "off"
    assert story.serves()


def test_a_stack_that_archives_nothing_says_how_it_would(story: Story) -> None:
    code, said = story.make("restore-pit", TO="latest", YES="yes")
    assert code != 0
    assert "set pitr true" in said
