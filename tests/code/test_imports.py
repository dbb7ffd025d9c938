"""Who imports whom: in no folder does a module need itself by way of others."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDERS = ("infra", "operate", "setup", "kubeapi", "offline", "cluster", "prober")


def modules(folder: str) -> dict[str, Path]:
    """Return the modules of a folder by their dotted names."""
    paths = (ROOT / folder).rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imported(path: Path, known: set[str]) -> set[str]:
    """Return which of the known modules a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            # A name that is no module is something in the one before it.
            found |= named if named <= known else named | {node.module}
    return found & known


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_needs_itself_by_way_of_others(folder: str) -> None:
    every = modules(folder)
    assert len(every) > 5
    needs = {name: imported(path, set(every)) - {name} for name, path in every.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as cycle:
        pytest.fail(" needs ".join(cycle.args[1]))
