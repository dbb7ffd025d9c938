"""`make bench`: the benchmarks, with the toolchain that the tests use."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from operate import test
from operate.request import REPOSITORY, Request
from operate.test import Program
from setup.processes import hand_over

PROGRAMS = (
    Program("compose", ("docker-compose",), "docker-compose", "docker-compose, which releases are measured beside"),
    Program("wrk", ("wrk",), "wrk", "wrk, which puts the gateway under load"),
)


def run(request: Request) -> int:
    """Run the benchmarks, which write bench/RESULTS.md; the words after the verb are theirs."""
    own = replace(request, places=test.own_places(request))
    prepared = test.ready(own)
    test.get_programs(own, prepared.environment, PROGRAMS)
    with tempfile.TemporaryDirectory(prefix="scaffold-bench-") as folder:
        environment = test.environment_for(own, prepared, Path(folder), official=False)
        command = [str(own.places.python), "-m", "bench", *request.arguments]
        return hand_over(command, environment=environment, folder=REPOSITORY)
