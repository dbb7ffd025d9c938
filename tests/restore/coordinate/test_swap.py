"""One restore from the queue to the live name, with the app beside it, from each kind of file."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.restore.coordinate.test_kill import versions


def made(stage: Any, wanted: str, kind: str) -> Path:
    """A file of a kind with the data of a word."""
    if kind == "dump":
        return Path(stage.root / f"files/{wanted}.dump")
    path = Path(stage.root / f"files/{wanted}.{kind}")
    source = "scaffold_today" if wanted == "new" else "scaffold_yesterday"
    option = "-Fc" if kind.startswith("dump") else "-Fp"
    done = subprocess.run(
        ["docker", "exec", stage.server, "pg_dump", option, "-d", source], capture_output=True, check=True, timeout=120
    )
    path.write_bytes(gzip.compress(done.stdout) if kind.endswith(".gz") else done.stdout)
    return path


@pytest.mark.parametrize("kind", ["dump", "dump.gz", "sql", "sql.gz"])
def test_a_file_is_restored_and_the_app_goes_on_with_it(stage: Any, kind: str) -> None:
    wanted, other = versions(stage)
    before = stage.databases()["scaffold"][0]
    stage.put(made(stage, wanted, kind))
    done = stage.drain()
    assert done.status == 0, done.text
    (receipt, *_) = stage.receipts()
    assert (receipt["outcome"], receipt["rights_left"]) == ("done", []), done.text
    after = stage.databases()
    assert after["scaffold"][0] != before
    assert after[receipt["previous"]] == (before, False)
    assert stage.content() == stage.contents[wanted]
    assert stage.content(receipt["previous"]) == stage.contents[other]
    stage.alive(wanted)
    assert stage.leftovers() == []
    assert receipt["rows"] > 500
    assert receipt["stopped"] == ["web-1"]
    assert 0 < receipt["downtime_seconds"] < 120
    assert os.stat(stage.root / "restore/state.journal").st_mode & 0o077 in (0, 0o040)  # noqa: PTH116
