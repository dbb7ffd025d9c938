"""Formatting, lint, types and spelling: what `make check` runs, as tests, so that nothing lands without them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from operate import check
from tests.conftest import ROOT


@pytest.mark.parametrize("name", sorted(check.commands()))
def test_the_code_is_clean(name: str) -> None:
    command = [sys.executable, "-m", *check.commands()[name]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=check.CHECK_SECONDS, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
