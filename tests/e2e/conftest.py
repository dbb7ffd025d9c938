"""The stack of a run: nothing at first, serving after its first `up`, and removed at the end or by the next run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Docker, remove_labelled, remove_what_dead_runs_left
from tests.e2e.site import Site, new_site

ARTEFACTS = ROOT / "artefacts"


@pytest.fixture(scope="session")
def stack_name(run_id: str) -> str:
    """The name of this run's stack."""
    return f"e2e-{run_id}"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, stack_name: str, docker: Docker) -> Iterator[Site]:
    """A stack that no `up` has touched yet; everything of it is removed at the end."""
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    yield new_site(tmp_path_factory.mktemp("e2e"), stack_name)
    remove_labelled(f"scaffold.stack={stack_name}")


@pytest.fixture(scope="session")
def serving(site: Site) -> Site:
    """The stack after its first `up`."""
    site.up()
    return site


@pytest.fixture
def artefacts() -> Path:
    """The folder where pictures are kept for a person to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS
