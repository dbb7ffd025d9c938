"""`make test`: prepares what the tests need beside any user's stack, and runs the declared suites."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from operate import suites
from operate.beside import Beside
from operate.request import REPOSITORY, YES, Request
from operate.suites import Outcome, Suite
from setup import apt
from setup.facts import find
from setup.locks import lock
from setup.places import Places, clone_name
from setup.prepare import Prepared, Wish, look, prepare
from setup.problem import Problem
from setup.processes import stop
from setup.terminal import duration

DECLARED = REPOSITORY / "tests" / "suites.toml"
REQUIREMENTS = "requirements-dev.txt"
BASE_IMAGE = "debian:trixie-slim"
# A suite that hangs is stopped, so that the others still tell what they know.
PATIENCE = 2.0


@dataclass(frozen=True)
class Program:
    """A program that some tests need, by the names it may have; and the distribution's package that has it."""

    step: str
    names: tuple[str, ...]
    package: str
    words: str


PROGRAMS = (
    Program("browser", ("chromium", "chromium-browser", "google-chrome"), "chromium", "Chromium"),
    Program("xmlsec1", ("xmlsec1",), "xmlsec1", "xmlsec1, by which a second SAML library signs and checks"),
)


def run(request: Request) -> int:
    """Run the suites (all, or those that are named), and end with how many tests passed, failed and were skipped."""
    try:
        wanted = suites.chosen(suites.declared(DECLARED), request.verb, request.arguments)
    except ValueError as error:
        raise Problem(f"The suites cannot be run: {error}.", "make test ARGS='NAME …' runs some of them") from error
    own = replace(request, places=own_places(request))
    prepared = ready(own)
    if any(suite.cluster for suite in wanted):
        get_cluster(own, prepared.environment)
    ci = request.environment.get("CI", "").lower() in YES
    with tempfile.TemporaryDirectory(prefix="scaffold-test-") as folder:
        environment = environment_for(own, prepared, Path(folder), official=request.verb == "test-official")
        outcomes = run_suites(own, wanted, environment, Path(folder))
    report(own, outcomes, ci)
    return 0 if suites.succeeded(outcomes, ci) else 1


def own_places(request: Request) -> Places:
    """Return places that share nothing with a user's stack: another cache, state and virtual environment."""
    cache = Path(request.environment.get("SCAFFOLD_CACHE_DIR") or request.places.cache.parent / "scaffold-test")
    state = Path(request.environment.get("SCAFFOLD_STATE_DIR") or cache / "state")
    # Clones differ in what they pin, and each may run its tests beside the other.
    venv = Path(request.environment.get("SCAFFOLD_VENV") or cache / "venvs" / clone_name(request.places.repository))
    return Places(request.places.repository, cache, state, venv)


def ready(request: Request) -> Prepared:
    """Make the machine ready for the tests; raise the first Problem in the way."""
    # The toolchain under test is this one, whatever a person's shell has; only the official suite takes theirs.
    environment = dict(request.environment)
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_STACK"):
        environment.pop(name, None)
    wish = Wish(REQUIREMENTS, BASE_IMAGE)
    seen = look(request.places, environment, wish)
    if seen[1].problems:
        raise seen[1].problems[0]
    done = prepare(request.places, environment, wish, request.terminal, seen)
    get_programs(request, done.environment, PROGRAMS)
    return done


def get_programs(request: Request, environment: Mapping[str, str], programs: Sequence[Program]) -> None:
    """Install what some need and is not there; where that cannot be done it is said, and what needs it is left out."""
    facts_allow = find("apt-get", environment) and (os.geteuid() == 0 or find("sudo", environment))
    missing = []
    for program in programs:
        present = next((path for path in (find(name, environment) for name in program.names) if path), None)
        if present:
            request.terminal.done(program.step, present, 0)
        elif facts_allow:
            missing.append(program)
        else:
            request.terminal.done(program.step, "none, and none can be installed here: what needs it is left out", 0)
    if not missing:
        return
    with lock(request.places.locks / "prepare.lock", "installing what the tests need", 1800):
        for program in missing:
            try:
                apt.get_permission(environment)
                with request.terminal.step(program.step, f"{program.words}, from the distribution's packages") as step:
                    log = request.places.logs / f"{program.step}-install.log"
                    apt.install([program.package], environment, step, log)
            except Problem as problem:
                request.terminal.note(f"what needs it is left out: {problem.cause.splitlines()[0]}")


def get_cluster(request: Request, environment: Mapping[str, str]) -> None:
    """Start the tests' cluster, which stays for the next run; where none can be, its tests say so and are skipped.

    It is built the first time, and here somebody sees how far that is.
    """
    from cluster.layout import layout_of
    from cluster.obstacles import obstacles
    from cluster.running import running
    from cluster.shape import shape_of_tests
    from cluster.start import start

    shape = shape_of_tests()
    found = [] if running(shape, request.places) else obstacles(layout_of(shape, request.places))
    if found:
        request.terminal.done("cluster", "none, and none can run here: its tests are skipped", 0)
        for problem in found:
            request.terminal.note(problem.cause)
        return
    try:
        start(shape, request.places, environment, request.terminal)
    except Problem as problem:
        request.terminal.note(f"there is no cluster, and its tests fail or are skipped: {problem.cause}")


def environment_for(request: Request, prepared: Prepared, folder: Path, *, official: bool) -> dict[str, str]:
    """Return what the suites run with: the toolchain on PATH, and folders of this run alone for everything written.

    The official suite takes Pulumi and its plugins from the person's own PATH and home.
    """
    environment = dict(prepared.environment)
    environment["SCAFFOLD_TEST_RUN"] = folder.name.removeprefix("scaffold-test-")
    environment["SCAFFOLD_VENV"] = str(request.places.venv)
    environment["SCAFFOLD_PULUMI"] = str(prepared.tools.cli)
    environment["VIRTUAL_ENV"] = str(request.places.venv)
    environment["PATH"] = f"{request.places.venv / 'bin'}{os.pathsep}{environment['PATH']}"
    environment["PULUMI_ERROR_OUTPUT_STRING"] = "1"
    if official:
        theirs = shutil.which("pulumi", path=request.environment.get("PATH"))
        plugins = shutil.which("pulumi-resource-docker", path=request.environment.get("PATH"))
        home = Path(request.environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
        if theirs is None or not (plugins or any((home / "plugins").glob("resource-docker-v*"))):
            raise Problem(
                "The official plugins are not here: no pulumi with pulumi-resource-docker on PATH or in its home.",
                "install Pulumi from its makers, then: pulumi plugin install resource docker 5.1.0",
            )
        environment |= {"SCAFFOLD_PULUMI": theirs, "PULUMI_HOME": str(home), "SCAFFOLD_OFFICIAL": "1"}
        environment["PATH"] = f"{request.places.venv / 'bin'}{os.pathsep}{request.environment['PATH']}"
    return environment


def run_suites(
    request: Request, wanted: Sequence[Suite], environment: Mapping[str, str], folder: Path
) -> list[Outcome]:
    """Run the suites one after another, and those that may beside them; return what came of each, in their order."""
    first = [suite for suite in wanted if not suite.beside]
    if not first or len(first) == len(wanted):
        return [run_suite(request, suite, environment, folder) for suite in wanted]
    behind = [suite for suite in wanted if suite.beside]
    # Those behind wait for the others, however long these take.
    together = sum(budget_of(request, suite) for suite in wanted)
    request.terminal.say(f"beside the others, and told of at the end: {', '.join(suite.name for suite in behind)}")
    with Beside(
        behind,
        lambda suite: command_of(request, suite, folder),
        lambda _: together * 60 * PATIENCE,
        environment,
        REPOSITORY,
        folder,
    ) as beside:
        found = {suite.name: run_suite(request, suite, environment, folder) for suite in first}
    for suite in behind:
        head(request, suite)
        request.terminal.say(beside.words(suite).rstrip())
        code, seconds = beside.codes.get(suite.name), beside.seconds.get(suite.name, 0.0)
        found[suite.name] = outcome_of(request, suite, folder, code, seconds, together)
    return [found[suite.name] for suite in wanted]


def budget_of(request: Request, suite: Suite) -> float:
    """Return the minutes that a suite may take."""
    return suite.long_budget if request.verb == "test-long" else suite.budget


def command_of(request: Request, suite: Suite, folder: Path) -> list[str]:
    """Return the command that runs a suite and writes its report into a folder."""
    rest = request.environment.get("PYTEST_ARGS", "").split()
    return [str(request.places.python), *suites.pytest_arguments(suite, request.verb, report_of(suite, folder), rest)]


def report_of(suite: Suite, folder: Path) -> Path:
    """Return where a suite's report is."""
    return folder / f"{suite.name}.xml"


def head(request: Request, suite: Suite) -> None:
    """Print the line above a suite's words."""
    terminal = request.terminal
    terminal.say()
    terminal.say(terminal.bold(f"== {suite.name}: {suite.path} (at most {budget_of(request, suite):g} min)"))


def run_suite(request: Request, suite: Suite, environment: Mapping[str, str], folder: Path) -> Outcome:
    """Run one suite with pytest on this terminal and return what came of it; one that takes far too long is stopped."""
    budget = budget_of(request, suite)
    head(request, suite)
    started = time.monotonic()
    code = wait_for(command_of(request, suite, folder), budget * 60 * PATIENCE, environment)
    return outcome_of(request, suite, folder, code, time.monotonic() - started, budget)


def outcome_of(
    request: Request, suite: Suite, folder: Path, code: int | None, seconds: float, budget: float
) -> Outcome:
    """Return what came of a suite that has ended, or was stopped (`code` is None)."""
    report_file, terminal = report_of(suite, folder), request.terminal
    if code is None:
        terminal.say(f"   stopped after {duration(seconds)}: it hangs, or its budget is far too small")
    elif code == -2:
        raise KeyboardInterrupt
    text = report_file.read_text(encoding="utf-8") if report_file.exists() else None
    return suites.outcome_from(suite, text, code, seconds, budget)


def wait_for(command: Sequence[str], seconds: float, environment: Mapping[str, str]) -> int | None:
    """Run a command in a process group of its own and return its exit code, or None when it took too long."""
    process = subprocess.Popen(
        command, env=dict(environment), cwd=REPOSITORY, text=True, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        stop(process, grace=60)
        return None
    except KeyboardInterrupt:
        # pytest removes what its tests made when it is interrupted, so it gets the time to.
        process.send_signal(2)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            stop(process)
        raise


def report(request: Request, outcomes: Sequence[Outcome], ci: bool) -> None:
    """Print each suite's counts and time beside its budget, what was skipped and why, and the sum as the last line."""
    say = request.terminal.say
    say()
    width = max((len(outcome.suite.name) for outcome in outcomes), default=0)
    for outcome in outcomes:
        late = "  OVER BUDGET" if outcome.late else ""
        say(
            f"{outcome.suite.name:<{width}}  {outcome.passed:>5} passed {outcome.failed:>4} failed "
            f"{len(outcome.skipped):>4} skipped   {duration(outcome.seconds):>12} of {outcome.budget:g} min{late}"
        )
    skipped = [skip for outcome in outcomes for skip in outcome.skipped]
    if skipped:
        say()
        say("Skipped" + (" (nothing may be, with CI=true):" if ci else ":"))
        for name, reason in skipped:
            say(f"  {name}: {reason}")
    say()
    sys.stdout.flush()
    say(suites.summary(outcomes))
