"""Wrong passwords without a pause, from as many addresses: what other pages take then, over what they take at rest."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event

from bench import elsewhere, weight
from bench.row import Row, spread
from bench.stack import serving
from prober import work
from prober.load import Load
from tests.app.saml.idp import SITE
from tests.conftest import run_docker
from tests.e2e.site import Site
from tests.login.conftest import NETWORKS_OF_DOCKER
from tests.login.flood import Account, Flood

TRIES, PAGES = 100, 50
SECONDS, SETTLING_SECONDS, TURNS = 15.0, 3.0, 5
MOST_SECONDS = 120.0
BOUND = 2.0
OWNER = "ada@example.org"
FLASK = ("flask", "--app", "scaffold:create_app")
AIMS: dict[str, Account] = {
    "at one account": lambda _: OWNER,
    "at as many accounts": lambda number: f"nobody{number}@example.org",
}


def rows() -> list[Row]:
    """Measure in turn at rest, under tries at one account, at rest, and under tries at many."""
    with serving(behind_a_proxy) as site, weight.each_of_its_own():
        open_a_door(site)
        took: dict[str, list[tuple[float, float]]] = {aim: [] for aim in AIMS}
        for _ in range(TURNS):
            for aim, pairs in took.items():
                rest = tail(site)
                with flooded(site, aim):
                    pairs.append((tail(site), rest))
    return [figure(aim, pairs) for aim, pairs in took.items()]


def figure(aim: str, pairs: list[tuple[float, float]]) -> Row:
    """Return what one kind of flood does."""
    during, rest = ([pair[place] * 1000 for pair in pairs] for place in (0, 1))
    ratio = statistics.median(one / other for one, other in pairs)
    how = f"{TRIES} tries a second beside {PAGES} pages; ms: at rest {spread(rest)}; meanwhile {spread(during)}"
    return Row(f"wrong passwords {aim}: other pages' p99, over at rest", ratio, BOUND, "of its time", how)


def behind_a_proxy(site: Site) -> None:
    """Let somebody in front tell who asks."""
    site.config("siteUrl", SITE)
    for number, network in enumerate(NETWORKS_OF_DOCKER):
        site.config(f"trustedProxies[{number}]", network, "--path")


def open_a_door(site: Site) -> None:
    """Make a local account, and let it in with a password for as long as this takes."""
    (web,) = site.containers("web", running=True)
    run_docker("exec", web, *FLASK, "users", "add", OWNER)
    run_docker(
        "exec", web, *FLASK, "breakglass", "open", "--user", OWNER, "--minutes", "60", "--reason", "a flood of a bench"
    )


def tail(site: Site) -> float:
    """Return the 99th percentile of some pages, in seconds, of which one asks the database."""
    (gateway,) = site.containers("gateway", running=True)
    pages = [work.get(path, PAGES / 2) for path in ("/", "/auth/login")]
    with elsewhere.Visitors(Load(elsewhere.door(gateway, SITE), pages), MOST_SECONDS) as running:
        time.sleep(SETTLING_SECONDS)
        running.lap()
        time.sleep(SECONDS)
        tally = running.lap()
    assert tally.served == tally.sent, tally.plain()
    return tally.percentile(0.99)


@contextmanager
def flooded(site: Site, aim: str) -> Iterator[None]:
    """Let tries come from a process of their own, so that they slow nothing but the site; each must be refused."""
    spawning = multiprocessing.get_context("spawn")
    ended, refused = spawning.Event(), spawning.Value("i", 0)
    process = spawning.Process(target=flood, args=(site.port, aim, ended, refused), daemon=True)
    process.start()
    try:
        yield
    finally:
        ended.set()
        process.join(timeout=60)
    assert process.exitcode == 0, f"the flood ended with {process.exitcode}"
    assert refused.value > SECONDS * TRIES / 2, f"{refused.value} tries in {SECONDS} s are no flood"


def flood(port: int, aim: str, ended: Event, refused: Synchronized[int]) -> None:
    """Try until told to end, and count the tries that were refused, which must be all of them."""
    with Flood(port, AIMS[aim], rate=TRIES) as running:
        ended.wait(MOST_SECONDS)
    refused.value = running.answers["403"] + running.answers["429"]
    assert refused.value == running.sent, running.answers
