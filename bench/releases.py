"""Releases under 100 requests a second, in turn: this project, docker-compose, and docker-rollout's method."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import elsewhere, weight
from bench.compose import Compose, Images
from bench.row import Row, spread
from bench.stack import as_a_users
from prober import work
from prober.load import Load
from prober.tally import Tally
from tests.conftest import remove_labelled, remove_what_dead_runs_left, run_docker, started_at
from tests.e2e.probed import change, overlay
from tests.e2e.site import Site, new_site

RATE = 100
REQUESTS = 50_000
REST_SECONDS = 20
MOST_ROUNDS = 200


@dataclass
class Tail:
    """99th percentiles in ms, of each release and of the rest before it."""

    rest: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)

    def note(self, before: Tally, during: Tally) -> None:
        """Keep those of one release."""
        self.rest.append(before.percentile(0.99) * 1000)
        self.during.append(during.percentile(0.99) * 1000)

    def words(self) -> str:
        """Return both."""
        return f"at rest {statistics.median(self.rest):.3g} ms, during {spread(self.during)}"


@dataclass
class Contender:
    """A way to release: where it is reached, the program whose app it builds, and the command."""

    name: str
    url: str
    folder: Path
    release: Callable[[], object]
    label: str
    gateway: str
    seconds: list[float] = field(default_factory=list)
    tail: Tail = field(default_factory=Tail)
    weighed: Tail = field(default_factory=Tail)
    sent: int = 0
    lost: int = 0

    @contextmanager
    def turn(self, others: Sequence[Contender]) -> Iterator[None]:
        """Let the others stand still meanwhile: their health checks alone take a third of a processor."""
        standing = [each for other in others if other is not self for each in other.containers()]
        if standing:
            run_docker("pause", *standing)
        try:
            yield
        finally:
            if standing:
                run_docker("unpause", *standing)

    def containers(self) -> list[str]:
        """Return the ids of what runs."""
        return run_docker("ps", "--quiet", "--filter", f"label={self.label}", "--filter", "status=running").split()

    def count(self, tally: Tally) -> None:
        """Count requests, and those that did not get what they asked for; the page is no answer here."""
        self.sent += tally.sent
        self.lost += tally.sent - tally.served + tally.idle_broken


def rows(requests: int = REQUESTS, rest_seconds: float = REST_SECONDS) -> list[Row]:
    """Release in turn until each contender has had so many requests."""
    run_id = f"{os.getpid()}-{started_at(os.getpid())}"
    remove_what_dead_runs_left()
    remove_what_dead_runs_left("scaffold.stack", "e2e-")
    with tempfile.TemporaryDirectory(prefix="scaffold-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        stack = f"e2e-{run_id}-releases"
        projects: list[Compose] = []
        try:
            (folder / "ours").mkdir()
            site = as_a_users(new_site(folder / "ours", stack, alter=overlay))
            site.up()
            label = f"scaffold.stack={stack}"
            (gateway,) = site.containers("gateway", running=True)
            contenders = [Contender("this project", site.url, site.folder, site.up, label, gateway)]
            for method in ("up", "rollout"):
                project = Compose(folder / method, f"bench{os.getpid()}{method}", run_id, images_of(site))
                projects.append(project)
                project.prepare(site.folder / "app")
                project.up()
                label = f"com.docker.compose.project={project.name}"
                (gateway,) = project.containers("nginx")
                release = getattr(project, method)
                contenders.append(Contender(method, project.url, project.folder, release, label, gateway))
            take_turns(contenders, requests, rest_seconds)
        finally:
            for project in projects:
                project.remove()
            remove_labelled(f"scaffold.test={run_id}")
            remove_labelled(f"scaffold.stack={stack}")
    return figures(*contenders)


def images_of(site: Site) -> Images:
    """Return the images that the stack's gateway and database run on."""
    found = [
        run_docker("inspect", "-f", "{{.Image}}", *site.containers(service, running=True))
        for service in ("gateway", "database")
    ]
    return Images(*found)


def take_turns(contenders: list[Contender], requests: int, rest_seconds: float) -> None:
    """Release with each in turn: a line of the app that is new, and then one whose image is there already."""
    for number in range(MOST_ROUNDS):
        waiting = [each for each in contenders if each.sent < requests]
        if not waiting:
            return
        for each in waiting:
            with each.turn(contenders):
                take_turn(each, number, rest_seconds)


def take_turn(contender: Contender, number: int, rest_seconds: float) -> None:
    """Release a line that is new, then one that is built already; note how long the first took and what each cost."""
    (contender.folder / "app" / "scaffold" / "changed.py").write_text(f'"""Change {number}."""\n')
    before, during = measure(contender, 2.0)
    contender.seconds.append(seconds_to_serve(before, during))
    contender.tail.note(*measure_built(contender, f"built {number % 2}", rest_seconds))
    with weight.each_of_its_own() as changed:
        if changed:
            contender.weighed.note(*measure_built(contender, f"weighed {number % 2}", rest_seconds))


def measure_built(contender: Contender, mark: str, rest_seconds: float) -> tuple[Tally, Tally]:
    """Measure a release whose image was built beforehand: what is left to do is a look at what is cached."""
    change(contender.folder, mark)
    run_docker("build", "--quiet", str(contender.folder / "app"), timeout=1500)
    return measure(contender, rest_seconds)


def measure(contender: Contender, rest_seconds: float) -> tuple[Tally, Tally]:
    """Ask at a fixed rate, at rest and then through a release; return both tallies.

    What a release is measured by begins with its command and ends when that is over and the new one answers.
    """
    load = Load(elsewhere.door(contender.gateway, contender.url), works(contender.name))
    with elsewhere.Visitors(load) as running:
        running.wait_for_answers(RATE)
        warming = running.cut()
        running.wait_for_answers(max(1, round(RATE * rest_seconds)), seconds=60 + rest_seconds)
        before = running.cut()
        known = set(before.releases)
        contender.release()
        deadline = time.monotonic() + 60
        while not set(load.tally.releases) - known and time.monotonic() < deadline:
            time.sleep(0.05)
        during = running.lap()
    for tally in (warming, before, during, load.tally):
        contender.count(tally)
    return before, during


def works(run: str) -> list[work.Work]:
    """Return what is asked for: 100 requests a second, and one slow body each way in every second beside them."""
    return [
        work.get("/probe/release", RATE * 0.4),
        work.fresh("/probe/release", RATE * 0.2),
        work.post("/probe/orders", RATE * 0.4, run),
        work.download("/probe/download", 1, 100_000, 2.0),
        work.upload("/probe/upload", 1, 30_000, 2.0),
    ]


def seconds_to_serve(before: Tally, during: Tally) -> float:
    """Return the seconds from the command to the first answer of a new release; raise RuntimeError without one."""
    new = [seen.first for release, seen in during.releases.items() if release not in before.releases]
    if not new:
        raise RuntimeError(f"no new release answered: {list(during.releases)}")
    return min(new) - during.began


def figures(ours: Contender, compose: Contender, rollout: Contender) -> list[Row]:
    """Return the rows."""
    ratio = statistics.median(a / b for a, b in zip(ours.seconds, compose.seconds, strict=False))
    times = "; ".join(f"{name}: {spread(each.seconds)}" for name, each in named(ours, compose, rollout))
    lost = ", ".join(f"{name}: {each.lost} of {each.sent}" for name, each in named(ours, compose, rollout))
    found = [
        Row("release: from the command to the new version, over docker-compose", ratio, 1.5, "of its time", times),
        Row("release: requests lost", ours.lost, 0, "", f"{RATE} requests/s; {lost}"),
        tail("image built", ours.tail, [(name, each.tail) for name, each in named(ours, compose, rollout)]),
    ]
    if ours.weighed.during:
        what = "image built, containers weighed as under systemd"
        found.append(tail(what, ours.weighed, [(name, each.weighed) for name, each in named(ours, compose, rollout)]))
    return found


def tail(what: str, ours: Tail, every: Sequence[tuple[str, Tail]]) -> Row:
    """Return the row of a percentile: twice what it is at rest, or 50 ms more where that is more."""
    rest = statistics.median(ours.rest)
    return Row(
        f"release: 99th percentile at {RATE} requests/s, {what}",
        statistics.median(ours.during),
        max(2 * rest, rest + 50),
        "ms",
        "; ".join(f"{name}: {each.words()}" for name, each in every),
    )


def named(ours: Contender, compose: Contender, rollout: Contender) -> list[tuple[str, Contender]]:
    """Return the three with the names that a reader knows."""
    return [("ours", ours), ("docker-compose", compose), ("docker-rollout's method", rollout)]
