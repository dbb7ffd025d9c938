"""A folder of a bench's own and a name for whatever it makes, all of which goes away with it, and with a dead one's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.conftest import LABEL, remove_labelled, remove_what_dead_runs_left, started_at


class Place(NamedTuple):
    """Where to put files, the run that containers are labelled with, and what a stack is to be called."""

    folder: Path
    run_id: str
    stack: str


@contextmanager
def own(kind: str) -> Iterator[Place]:
    """Lend a place, and remove what was made there."""
    run_id = f"{os.getpid()}-{started_at(os.getpid())}"
    remove_what_dead_runs_left()
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    with tempfile.TemporaryDirectory(prefix="scaffold-bench-") as name:
        place = Place(Path(name), run_id, f"e2e-{run_id}-{kind}")
        # The containers' users reach what is in it.
        place.folder.chmod(0o755)
        try:
            yield place
        finally:
            remove_labelled(f"{LABEL}={run_id}")
            remove_labelled(f"scaffold.stack={place.stack}")
