"""`make backup` and `make backups`: the backup service's own commands where it runs, told as a person reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Docker
from tests.operate.test_flask import base_image, start

__all__ = ["base_image"]


@pytest.fixture(scope="module")
def stack(docker: Docker, run_id: str, base_image: str) -> str:
    """A stack with an app, and with a backup service that says what it was asked."""
    name = f"backup-{run_id}"
    start(docker, run_id, base_image, name)
    start(docker, run_id, base_image, name, "db-backup", "python")
    return name


def typed(stack: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Type a verb."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "STACK": stack}
    return subprocess.run(
        [sys.executable, "-m", "operate", *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=environment,
    )  # fmt: skip


def test_a_backup_is_made_where_the_service_runs_and_its_exit_code_is_passed_on(stack: str, tmp_path: Path) -> None:
    done = typed(stack, tmp_path, "backup")
    assert done.returncode == 7
    assert done.stdout == "asked: -m backup run --wait\n"


def test_backups_are_listed_and_its_words_name_another_command(stack: str, tmp_path: Path) -> None:
    assert typed(stack, tmp_path, "backups").stdout == "asked: -m backup list\n"
    assert typed(stack, tmp_path, "backups", "verify", "latest").stdout == "asked: -m backup verify latest\n"


def test_a_stack_without_the_service_is_told_of_and_what_starts_it(
    docker: Docker, run_id: str, base_image: str, tmp_path: Path
) -> None:
    bare = f"bare-{run_id}"
    start(docker, run_id, base_image, bare)
    done = typed(bare, tmp_path, "backups")
    assert done.returncode == 1
    assert f"No db-backup of the stack {bare} runs in which a command could" in done.stderr
    assert f"make up STACK={bare} starts it" in done.stderr
