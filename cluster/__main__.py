"""`python -m cluster up|down NAME [delete-data]`: the part of starting and stopping a cluster that takes root."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cluster.shape import Shape, shape_of, shape_of_tests
from cluster.start import start
from cluster.stop import stop
from setup.places import places_from
from setup.problem import Problem
from setup.terminal import Terminal


def main(words: list[str]) -> int:
    """Run the verb and return its exit code."""
    verb, name, *rest = words
    places = places_from(os.environ, Path(__file__).resolve().parent.parent)
    terminal = Terminal()
    try:
        shape = named(name)
        if verb == "up":
            start(shape, places, os.environ, terminal)
        else:
            stop(shape, places, os.environ, terminal, delete_data="delete-data" in rest)
    except Problem as problem:
        terminal.problem(problem)
        return 1
    return 0


def named(name: str) -> Shape:
    """Return the cluster of that name."""
    tests = shape_of_tests()
    return tests if name == tests.name else shape_of(os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
