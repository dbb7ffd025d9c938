"""The declared test suites, and what came of running them."""

from __future__ import annotations

import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Suite:
    """A folder of tests, the minutes that it may take, the verbs that run it, and whether it takes a cluster.

    `long_budget` are the minutes that it may take with its slow tests, which only `make test-long` runs. One that runs
    `beside` the others bounds no time closely and needs no machine to itself: it takes what they leave.
    """

    name: str
    path: str
    budget: float
    long_budget: float
    official: bool
    cluster: bool = False
    beside: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a suite: counts, the reasons of what was skipped, and seconds."""

    suite: Suite
    passed: int
    failed: int
    skipped: Sequence[tuple[str, str]]
    seconds: float
    budget: float

    @property
    def late(self) -> bool:
        """Whether it took longer than it may."""
        return self.seconds > self.budget * 60


def declared(path: Path) -> list[Suite]:
    """Return the suites in the order of the file; raise ValueError naming what in it cannot be used."""
    found = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["suite"]:
        unknown = set(entry) - {"name", "path", "budget", "long_budget", "official", "cluster", "beside"}
        if unknown:
            raise ValueError(f"{path.name}: suite {entry.get('name')!r} has unknown keys {sorted(unknown)}")
        budget = float(entry["budget"])
        found.append(
            Suite(
                entry["name"],
                entry["path"],
                budget,
                float(entry.get("long_budget", budget)),
                bool(entry.get("official")),
                bool(entry.get("cluster")),
                bool(entry.get("beside")),
            )
        )
    return found


def chosen(suites: Sequence[Suite], verb: str, names: Sequence[str]) -> list[Suite]:
    """Return the suites that a verb runs, or those of them that are named; raise ValueError for an unknown name."""
    unknown = sorted(set(names) - {suite.name for suite in suites})
    if unknown:
        raise ValueError(
            f"no suite is called {', '.join(unknown)}; there are: {', '.join(suite.name for suite in suites)}"
        )
    return [
        suite for suite in suites if (not names or suite.name in names) and (verb != "test-official" or suite.official)
    ]


def pytest_arguments(suite: Suite, verb: str, report: Path, rest: Sequence[str]) -> list[str]:
    """Return pytest's arguments for a suite; its slow tests run only with `test-long`."""
    marks = [] if verb == "test-long" else ["-m", "not slow"]
    return ["-m", "pytest", suite.path, *marks, "-q", "--color=auto", f"--junitxml={report}", *rest]


def outcome_from(suite: Suite, report: str | None, code: int | None, seconds: float, budget: float) -> Outcome:
    """Return what a suite's report and exit code say; `code` is None when it was stopped for taking too long.

    A suite without a report, or one whose exit code tells of more than its report, has failed once more.
    """
    passed = failed = 0
    skipped: list[tuple[str, str]] = []
    try:
        cases = list(ET.fromstring(report or "").iter("testcase"))  # noqa: S314 - our own pytest wrote it
    except ET.ParseError:
        return Outcome(suite, 0, 1, [], seconds, budget)
    for case in cases:
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None:
            skipped.append(
                (f"{case.get('classname', '')}::{case.get('name', '')}", skip.get("message") or "no reason given")
            )
        else:
            passed += 1
    # 0: all passed; 1: some failed; 5: nothing was collected, which is a suite that tests nothing.
    if not failed and code != 0:
        failed += 1
    return Outcome(suite, passed, failed, skipped, seconds, budget)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the last line: how many tests passed and failed, and were skipped where any were."""
    passed, failed = sum(outcome.passed for outcome in outcomes), sum(outcome.failed for outcome in outcomes)
    skipped = sum(len(outcome.skipped) for outcome in outcomes)
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def succeeded(outcomes: Sequence[Outcome], ci: bool) -> bool:
    """Return whether all is well: nothing failed, and in continuous integration nothing was skipped either."""
    return not any(outcome.failed for outcome in outcomes) and not (ci and any(outcome.skipped for outcome in outcomes))
