"""A stack for measuring: brought up as the end-to-end tests do, and removed afterwards, whatever happens."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import remove_labelled, remove_what_dead_runs_left, started_at
from tests.e2e.site import Site, new_site


@contextmanager
def serving() -> Iterator[Site]:
    """Bring up a stack with the settings of a development one, and remove it."""
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    stack = f"e2e-{os.getpid()}-{started_at(os.getpid())}-bench"
    with tempfile.TemporaryDirectory(prefix="scaffold-bench-") as folder:
        try:
            site = new_site(Path(folder), stack)
            site.up()
            yield site
        finally:
            remove_labelled(f"scaffold.stack={stack}")
