"""In the backup's container: a run of which only the dump, its durability and the manifest are left."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest import mock

from backup import archive, dump, proof, reading, run, seal
from backup.contents import Contents


def no_globals(_tools: Any, _target: Any, path: Path, _seconds: float) -> None:
    """Write an empty file, which the manifest lists."""
    path.touch()


with (
    mock.patch.object(reading, "read", return_value=Contents()),
    mock.patch.object(reading, "sequences", return_value={}),
    mock.patch.object(archive, "read_through"),
    mock.patch.object(dump, "write_globals", no_globals),
    mock.patch.object(proof, "prove", return_value=proof.Proof((), "", 0)),
    mock.patch.object(seal, "digest", return_value=""),
):
    sys.exit(run.main())
