"""Another image of the gateway on Docker: how long its port is closed, and how many requests that costs."""

from __future__ import annotations

import statistics

from bench.row import Row, spread
from bench.stack import serving
from prober import work
from prober.background import Background
from prober.fate import Outcome, Verdict
from prober.load import Load
from prober.target import Target
from tests.e2e.site import Site

RATE = 100.0
KEPT_SHARE = 0.8
RUNS = 5
BOUND_SECONDS = 5.0


def replace(site: Site, number: int) -> tuple[float, int]:
    """Replace the gateway under load; return the seconds from the first lost request to the last, and how many."""
    outcomes: list[Outcome] = []
    works = [work.get("/healthz", RATE * KEPT_SHARE), work.fresh("/healthz", RATE * (1 - KEPT_SHARE))]
    template = site.folder / "gateway" / "nginx.conf.tmpl"
    template.write_text(f"{template.read_text()}# image {number}\n")
    with Background(Load(Target.of(site.url), works, listen=outcomes.append)) as load:
        load.wait_for_answers(100)
        site.up()
        load.wait_for_answers(100)
    lost = sorted(each.due for each in outcomes if each.verdict is Verdict.FAILED)
    return (lost[-1] - lost[0] if lost else 0.0), len(lost)


def rows() -> list[Row]:
    """Measure a few replacements."""
    with serving() as site:
        found = [replace(site, number) for number in range(RUNS)]
    seconds, lost = zip(*found, strict=True)
    how = f"{spread(seconds)}; requests lost at {RATE:g}/s: {spread(lost)}"
    return [Row("another image of the gateway: port closed", statistics.median(seconds), BOUND_SECONDS, "s", how)]
