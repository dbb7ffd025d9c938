"""A stack for measuring: brought up as the end-to-end tests do, and removed afterwards, whatever happens."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import remove_labelled, remove_what_dead_runs_left, started_at
from tests.e2e.site import Site, new_site


def as_a_users(site: Site) -> Site:
    """Let a program keep its bytecode: those of the tests leave none behind, a user's second update finds its own."""
    site.environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return site


@contextmanager
def serving(prepare: Callable[[Site], None] | None = None) -> Iterator[Site]:
    """Bring up a stack with the settings of a development one, which `prepare` may add to, and remove it."""
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    stack = f"e2e-{os.getpid()}-{started_at(os.getpid())}-bench"
    with tempfile.TemporaryDirectory(prefix="scaffold-bench-") as folder:
        try:
            site = as_a_users(new_site(Path(folder), stack))
            if prepare:
                prepare(site)
            site.up()
            yield site
        finally:
            remove_labelled(f"scaffold.stack={stack}")
