"""`pulumi up` with nothing changed, side by side with a program of one resource on the same toolchain."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.row import Row, spread
from bench.stack import serving
from tests.e2e.site import Site

PAIRS = 5
PROJECT = """name: one-resource
runtime:
  name: python
  options:
    toolchain: pip
    virtualenv: {virtualenv}
options:
  refresh: always
"""
PROGRAM = """import pulumi_random

pulumi_random.RandomPassword("one", length=16)
"""


def one_resource(site: Site, folder: Path) -> Site:
    """Return the stack of the smallest program, brought up once."""
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(PROJECT.format(virtualenv=sys.prefix))
    (folder / "__main__.py").write_text(PROGRAM)
    small = replace(site, folder=folder, stack="one", environment=site.environment | {"PULUMI_STACK": "one"})
    small.pulumi("stack", "init", "one")
    small.up()
    return small


def seconds_of(site: Site) -> float:
    """Return how long an `up` takes that must not change anything."""
    started = time.monotonic()
    site.up("--expect-no-changes")
    return time.monotonic() - started


def rows() -> list[Row]:
    """Measure both in turn."""
    with serving() as site:
        small = one_resource(site, site.folder.parent / "one")
        seconds_of(site)
        seconds_of(small)
        pairs = [(seconds_of(site), seconds_of(small)) for _ in range(PAIRS)]
    beyond = [whole - one for whole, one in pairs]
    how = f"whole: {spread([whole for whole, _ in pairs])}; one resource: {spread([one for _, one in pairs])}"
    return [Row("`pulumi up`, nothing changed, beyond a one-resource program", statistics.median(beyond), 2, "s", how)]
